"""Videos that tests make."""

from pathlib import Path

from PIL import Image


def write_video(path: Path, frames: list[Image.Image], rate: int = 30) -> Path:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        (stream.width, stream.height), stream.pix_fmt = frames[0].size, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_image(frame)))
        container.mux(stream.encode())
    return path
