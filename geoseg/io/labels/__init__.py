"""Labels in: polygons, lines, points and class rasters become classes and objects on a scene's grid."""
