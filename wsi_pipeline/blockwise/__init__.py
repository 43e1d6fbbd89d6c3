"""How does a tile function cover a plane?

`plane` runs it over all tiles, on this machine or by `remote` Dask workers; `cluster` has a batch
system start such workers.
"""

from wsi_pipeline.blockwise.plane import LOCAL, cover_plane
from wsi_pipeline.blockwise.tasks import Prepare, Progress

__all__ = ["LOCAL", "Prepare", "Progress", "cover_plane"]
