"""A raster reduced to some of its bands, as GDAL's virtual format describes it."""

from __future__ import annotations

from xml.etree import ElementTree

from geoseg.io.raster import RasterFile

_GDAL_TYPES = {
    "uint8": "Byte", "int8": "Int8", "uint16": "UInt16", "int16": "Int16", "uint32": "UInt32", "int32": "Int32",
    "uint64": "UInt64", "int64": "Int64", "float32": "Float32", "float64": "Float64",
}  # fmt: skip
_FILE_SYSTEMS = {
    "http": "/vsicurl/http://",
    "https": "/vsicurl/https://",
    "s3": "/vsis3/",
    "gs": "/vsigs/",
    "az": "/vsiaz/",
}


def gdal_name(path: str) -> str | None:
    """What GDAL itself calls a file or an address; None for what only rasterio understands."""
    scheme, separator, rest = path.partition("://")
    if not separator:
        return path
    return _FILE_SYSTEMS[scheme] + rest if scheme in _FILE_SYSTEMS else None


def needs_subset(file: RasterFile, bands: tuple[int, ...]) -> bool:
    """Whether resampling the file as it is would touch bands that nobody wants, or take data for an alpha band."""
    wanted = len(bands) + (file.alpha is not None)
    data_for_alpha = file.alpha is None and "alpha" in file.colours
    return gdal_name(file.path) is not None and (wanted < len(file.dtypes) or data_for_alpha)


def subset(file: RasterFile, bands: tuple[int, ...]) -> str:
    """A VRT with the given bands of the file (counted from 1), its alpha band after them, and its mask."""
    height, width = file.shape
    root = ElementTree.Element("VRTDataset", rasterXSize=str(width), rasterYSize=str(height))
    for number, band in enumerate(bands, 1):
        element = _band(root, file, number, band)
        ElementTree.SubElement(element, "ColorInterp").text = "Undefined"
        nodata = file.band_nodata(band)
        if nodata is not None:
            ElementTree.SubElement(element, "NoDataValue").text = repr(float(nodata))
    if file.alpha is not None:
        ElementTree.SubElement(_band(root, file, len(bands) + 1, file.alpha), "ColorInterp").text = "Alpha"
    if file.masked:
        _source(
            ElementTree.SubElement(ElementTree.SubElement(root, "MaskBand"), "VRTRasterBand", dataType="Byte"),
            file,
            "mask,1",
        )
    return ElementTree.tostring(root, encoding="unicode")


def _band(root: ElementTree.Element, file: RasterFile, number: int, band: int) -> ElementTree.Element:
    kind = _GDAL_TYPES[file.dtypes[band - 1]]
    element = ElementTree.SubElement(root, "VRTRasterBand", dataType=kind, band=str(number))
    _source(element, file, str(band))
    return element


def _source(element: ElementTree.Element, file: RasterFile, band: str) -> None:
    source = ElementTree.SubElement(element, "SimpleSource")
    ElementTree.SubElement(source, "SourceFilename", relativeToVRT="0").text = gdal_name(file.path)
    ElementTree.SubElement(source, "SourceBand").text = band
