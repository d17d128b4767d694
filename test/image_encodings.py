"""Every encoding of images that the node reads, and how its pixels lie in memory."""

# Bytes a pixel; a 4:2:0 row of luma or of chroma is as wide as the image.
PIXEL_BYTES = {
    **dict.fromkeys(("mono8", "8UC1", "nv12", "nv21"), 1),
    **dict.fromkeys(("bayer_rggb8", "bayer_bggr8", "bayer_gbrg8", "bayer_grbg8"), 1),
    **dict.fromkeys(("bayer_rggb16", "bayer_bggr16", "bayer_gbrg16", "bayer_grbg16"), 2),
    **dict.fromkeys(("mono16", "uyvy", "yuv422", "yuyv", "yuv422_yuy2"), 2),
    **dict.fromkeys(("rgb8", "bgr8", "8UC3"), 3),
    **dict.fromkeys(("rgba8", "bgra8", "8UC4"), 4),
    **dict.fromkeys(("rgb16", "bgr16"), 6),
    **dict.fromkeys(("rgba16", "bgra16"), 8),
}


def rows_of(encoding, height):
    """Rows in memory: of 4:2:0, chroma lies below the luma."""
    return height * 3 // 2 if encoding in ("nv12", "nv21") else height
