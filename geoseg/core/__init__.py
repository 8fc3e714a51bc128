"""Values and arithmetic: no torch, rasterio, geopandas, click or QGIS in here."""
