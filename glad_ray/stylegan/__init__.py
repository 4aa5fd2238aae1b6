"""What fixes a StyleGAN generator: its settings, the schedule of a new one, and the files of trained ones. No torch."""
