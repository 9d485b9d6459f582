"""The network: log and SNV are done before it; it answers with oxygenation and uncertainty, in percent."""

import torch
from torch import Tensor, nn

UNCERTAINTY_MIN = 0.5  # percent; below that the simulation itself is not to be believed


class OxygenNet(nn.Module):
    """Spectra, (n, bands), to (n, 1) oxygenation and (n, 1) its standard uncertainty, both in percent."""

    def __init__(self, bands: int, width: int = 128) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(bands, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, width // 2),
            nn.ReLU(),
        )
        self.share = nn.Linear(width // 2, 1)
        self.spread = nn.Linear(width // 2, 1)

    def forward(self, spectra: Tensor) -> tuple[Tensor, Tensor]:
        """Read oxygenation out of prepared spectra."""
        features = self.body(spectra)
        percent = 100 * torch.sigmoid(self.share(features))
        uncertainty = UNCERTAINTY_MIN + 40 * torch.sigmoid(self.spread(features))
        return percent, uncertainty


def prepare(spectra: Tensor, floor: float) -> Tensor:
    """Log and SNV, as manifest.yaml says: (n, bands) reflectance to (n, bands) without unit."""
    logs = torch.log(spectra.clamp_min(floor))
    centred = logs - logs.mean(1, keepdim=True)
    return centred / logs.std(1, keepdim=True, correction=0).clamp_min(1e-6)
