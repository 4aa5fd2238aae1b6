"""What fixes a StyleGAN-XL generator but its weights: one frozen record per part, and what can be counted from them.

A schedule fills them for a network to be initialised at random, a checkpoint's own attributes for a trained one.
Cutoffs and half-widths are in cycles per image width, rates in samples per image width.
"""

from dataclasses import dataclass
from typing import Literal

from glad_ray.errors import UserError

CLAMP = 256.0
OUTPUT_SCALE = 0.25
WORKING_BYTES = 2**28
"""What decoding or a gradient takes at most beside what grows with the images: parts that are worked on at a time."""


@dataclass(frozen=True, kw_only=True)
class MappingSettings:
    """The network from a normal draw and a class to a style code."""

    z_dim: int
    w_dim: int
    classes: int
    """0: unconditional"""
    embedding_rows: int
    """rows of the class table; released networks have 1000, however many classes they know; linear: one per class"""
    embedding_dim: int = 320
    """width of the class table; linear: that of w"""
    embedding: Literal["table", "linear"] = "table"
    """table: a learned table and a layer after it (StyleGAN-XL); linear: one linear layer (StyleGAN3)"""
    hidden_layers: int = 2
    learning_rate_factor: float = 0.01
    """by which the weights were scaled for training: stored weights are that much larger"""

    @property
    def class_dim(self) -> int:
        """Numbers that stand for the class beside z."""
        if not self.classes:
            return 0
        return self.z_dim if self.embedding == "table" else self.w_dim

    @property
    def parameter_count(self) -> int:
        """Learned numbers, the class table included."""
        fan_in = self.z_dim + self.class_dim
        hidden = self.w_dim * (fan_in + 1) + (self.hidden_layers - 1) * self.w_dim * (self.w_dim + 1)
        if not self.classes:
            return hidden
        if self.embedding == "linear":
            return hidden + self.w_dim * (self.classes + 1)
        return hidden + self.embedding_rows * self.embedding_dim + self.z_dim * (self.embedding_dim + 1)


@dataclass(frozen=True, kw_only=True)
class InputSettings:
    """The Fourier features that the first layer is fed with."""

    channels: int
    size: int
    rate: float
    bandwidth: float


@dataclass(frozen=True, kw_only=True)
class LayerSettings:
    """Everything that fixes one synthesis layer but its weights; a checkpoint's own attributes fill it as well."""

    name: str
    in_channels: int
    out_channels: int
    in_size: int
    out_size: int
    in_rate: float
    out_rate: float
    filter_rate: float
    """rate at which the nonlinearity acts and both filters are designed"""
    in_cutoff: float
    out_cutoff: float
    in_half_width: float
    out_half_width: float
    kernel_size: int
    to_rgb: bool
    """the last layer: no demodulation, no filters, no slope"""
    radial: bool
    """the down filter is radially symmetric (one full two-dimensional filter)"""
    up_factor: int
    up_taps: int
    down_factor: int
    down_taps: int
    padding: tuple[int, int]
    """samples added before and after, along each axis, at the filter rate; negative numbers crop"""
    clamp: float | None = CLAMP
    """largest absolute activation; None: no limit"""
    half: bool = True
    """computed in half precision where that is asked for; released networks leave out layers of a low rate"""

    @property
    def conv_crop(self) -> int:
        """Outputs of the convolution that padding would crop at each border, so that none of them is computed."""
        return max(0, -(self.padding[0] // self.up_factor))

    @property
    def conv_size(self) -> int:
        """Side of the convolution's output: full padding, less `conv_crop` at each border."""
        return self.in_size + self.kernel_size - 1 - 2 * self.conv_crop

    @property
    def filter_size(self) -> int:
        """Side of the activation at the filter rate."""
        if self.to_rgb:
            return self.out_size
        return (self.out_size - 1) * self.down_factor + self.down_taps

    @property
    def conv_multiply_adds(self) -> int:
        """Multiply-adds of the convolution, per image."""
        return self.out_channels * self.in_channels * self.kernel_size**2 * self.conv_size**2

    @property
    def up_multiply_adds(self) -> int:
        """Multiply-adds of the up filter, per image, zeros between samples not counted."""
        if self.to_rgb:
            return 0
        taps = self.up_taps // self.up_factor
        return self.out_channels * taps * self.filter_size * (self.conv_size + self.filter_size)

    @property
    def down_multiply_adds(self) -> int:
        """Multiply-adds of the down filter, per image."""
        if self.to_rgb:
            return 0
        if self.radial:
            return self.out_channels * (self.down_taps * self.out_size) ** 2
        return self.out_channels * self.down_taps * self.out_size * (self.filter_size + self.out_size)


@dataclass(frozen=True, kw_only=True)
class EncoderSettings:
    """The network from an image to the draw z that stands for it: a ConvNet without norm layers."""

    width: int
    """channels of every block"""
    depth: int
    """blocks"""
    mean: tuple[float, ...]
    """per channel: the network sees (x - mean) / std of an image x in [0, 1]"""
    std: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class SynthesisSettings:
    """A synthesis network without its weights: the Fourier features and a plain chain of layers."""

    w_dim: int
    input: InputSettings
    layers: tuple[LayerSettings, ...]
    output_scale: float = OUTPUT_SCALE
    """factor between the last layer's output and the image"""

    @property
    def codes(self) -> int:
        """Style codes of a whole image: one for the input, one per layer."""
        return len(self.layers) + 1

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        last = self.layers[-1]
        return (last.out_channels, last.out_size, last.out_size)

    @property
    def spaces(self) -> tuple[str, ...]:
        """`w+`, and one `f<n>` per layer: its input, and the codes from that layer on."""
        return ("w+", *(f"f{n}" for n in range(len(self.layers))))

    def layer_of(self, space: str) -> int | None:
        """The n of `f<n>`, None for `w+`; raises `UserError` that lists what there is."""
        if space not in self.spaces:
            raise UserError(f"The generator has no latent space {space!r}: it has {', '.join(self.spaces)}.")
        return None if space == "w+" else int(space[1:])

    def latent_shapes(self, space: str) -> dict[str, tuple[int, ...]]:
        """Shape of each kind of latent, per image; raises `UserError` for a space it does not have."""
        n = self.layer_of(space)
        if n is None:
            return {"w": (self.codes, self.w_dim)}
        layer = self.layers[n]
        return {
            "f": (layer.in_channels, layer.in_size, layer.in_size),
            "w": (len(self.layers) - n, self.w_dim),
        }

    def multiply_adds(self, space: str) -> int:
        """Multiply-adds of one image decoded from `space`, convolutions and filters; raises like `latent_shapes`."""
        return self._features(space) + sum(
            layer.conv_multiply_adds + layer.up_multiply_adds + layer.down_multiply_adds
            for layer in self.layers[self.layer_of(space) or 0 :]
        )

    def step_multiply_adds(self, space: str) -> int:
        """Those of a decode and the pullback after it, which decodes again, upsamples once more, and goes back through
        all; the last layer alone goes back to its kernels too. Raises like `latent_shapes`.
        """
        return 3 * self._features(space) + sum(
            (4 if layer.to_rgb else 3) * layer.conv_multiply_adds
            + 4 * layer.up_multiply_adds
            + 3 * layer.down_multiply_adds
            for layer in self.layers[self.layer_of(space) or 0 :]
        )

    def _features(self, space: str) -> int:
        return self.input.channels**2 * self.input.size**2 if self.layer_of(space) is None else 0

    @property
    def parameter_count(self) -> int:
        """Learned numbers of the synthesis network: kernels, biases and the maps from codes to styles."""
        return self.parameters_from("w+")

    def parameters_from(self, space: str) -> int:
        """Those that images decoded from `space` depend on; raises like `latent_shapes`."""
        n = self.layer_of(space)
        features = self.input.channels**2 + 4 * (self.w_dim + 1) if n is None else 0
        return features + sum(
            layer.out_channels * (layer.in_channels * layer.kernel_size**2 + 1) + layer.in_channels * (self.w_dim + 1)
            for layer in self.layers[n or 0 :]
        )

    def graph_bytes(self, space: str, bytes_per_number: int = 4) -> int:
        """The most memory that a gradient from `space` takes per image; raises like `latent_shapes`.

        Each layer keeps its input and its convolution, and for w+ the input module keeps its waves, their angles and
        a mix of channels. While the backward pass is at a layer there is what this layer and those before it keep, and
        the gradients of the layer's input and of its convolution, this one twice. `WORKING_BYTES` come on top, however
        many images there are. In half precision (2 bytes) other layers still hold 4.
        """
        n = self.layer_of(space)
        whole = max(bytes_per_number, 4)
        kept = whole * self.input.channels * (2 * self.input.size**2 + self.input.channels) if n is None else 0
        largest = 0
        for layer in self.layers[0 if n is None else n :]:
            size = bytes_per_number if layer.half else whole
            # Where all padding is cropped, so is the input.
            side = layer.in_size - 2 * max(0, layer.conv_crop - layer.kernel_size + 1)
            entering = size * layer.in_channels * side**2
            leaving = size * layer.out_channels * layer.conv_size**2
            kept += entering + leaving
            largest = max(largest, kept + entering + 2 * leaving)
        return largest
