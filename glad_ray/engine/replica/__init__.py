"""A generator that many trials of a machine share: an actor that holds it, and a handle that trials use in its place.

Weights are held once, however many trials there are, and so is the memory for graphs. What waits and is alike is
computed together (`batching`). The calls are pure functions, so that one lost with its replica is made again, and no
trial notices.

Arrays cross, for Ray copies tensors and shares arrays. A call copies the bytes of its arguments once, into the object
store of the machine, and those of its result once, into the same; both are read where they lie. The pullback of what
was just decoded finds its latents there. A batch of several
requests copies their arguments once more, to join them, and a GPU to itself and back.
"""
