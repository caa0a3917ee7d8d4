"""Opens a run file with xarray: every group with its coordinates, in both engines.

Usage: check_xarray.py STORE_SAMPLES. Exit status 77 (skipped) when xarray or an engine is not installed.
"""
import os
import subprocess
import sys
import tempfile

try:
    import h5netcdf  # noqa: F401
    import netCDF4  # noqa: F401
    import numpy as np
    import xarray as xr
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)


def check_engine(path, engine):
    with xr.open_dataset(path, engine=engine) as root:
        assert root.attrs["format"] == "qkscope-run" and not root.variables
    with xr.open_dataset(path, group="model", engine=engine) as model:
        assert set(model.coords) == {"layer", "head", "angle", "module"}
        assert model["layer_kind"].sel(layer=3).item() == "full"
    with xr.open_dataset(path, group="checkpoints/base", engine=engine) as base:
        assert base.attrs["total_bytes"] == 123456789
    with xr.open_dataset(path, group="drift/sft", engine=engine) as drift:
        assert dict(drift.sizes) == {"layer": 6, "head": 3, "angle": 2, "module": 2}, drift.sizes
        assert set(drift.coords) == {"layer", "head", "angle", "module"}, drift.coords
        assert set(drift.data_vars) == {"q_rel_drift", "q_rel_drift_state", "q_principal_angles", "outer_rel_drift",
                                        "way", "note"}
        assert drift["q_principal_angles"].dims == ("layer", "head", "angle")
        assert drift["q_rel_drift"].attrs["units"] == "1"
        assert drift["q_rel_drift"].dtype == np.float64
        value = drift["q_rel_drift"].sel(layer=1, head=2).item()
        assert value == 1 / (3 + 5 + len("/drift/sft")), value
        assert drift["outer_rel_drift"].sel(module="q").item() == 0.25
        assert list(drift["module"].values) == ["q", "größe"]
        assert np.isnan(drift["q_rel_drift"].sel(layer=5)).all()
        defined = drift["q_rel_drift"].where(drift["q_rel_drift_state"] == 0)
        assert int(defined.count()) == 14
        assert drift["q_rel_drift"].to_dataframe().loc[(0, 1)].item() == 1 / (3 + 1 + len("/drift/sft"))


def main():
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run([sys.argv[1], "write", directory], check=True)
        for engine in ("h5netcdf", "netcdf4"):
            check_engine(os.path.join(directory, "run.h5"), engine)


main()
