"""Draws the demo's sample media. See README.md beside this file.

Everything is generated: no photograph, recording or font glyph outline of anyone else's is in the files,
save for the captions, which are drawn with DejaVu Sans.
"""

import gzip
import json
import math
import random
import struct
import subprocess
import sys
import tempfile
import wave
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter, ImageFont

HERE = Path(__file__).parent
SCALE = 2
SIZE = (560, 350)


def mix(a, b, t):
    return tuple(round(x + (y - x) * t) for x, y in zip(a, b))


def hex_colour(text):
    return tuple(int(text[i : i + 2], 16) for i in (0, 2, 4))


class Scene:
    """One street, seen from the kerb."""

    def __init__(self, seed, sky, far, near, road, lit, size=SIZE):
        self.random = random.Random(seed)
        self.width, self.height = size[0] * SCALE, size[1] * SCALE
        self.size = size
        self.sky = [hex_colour(c) for c in sky]
        self.far, self.near, self.road = hex_colour(far), hex_colour(near), hex_colour(road)
        self.lit = lit
        self.image = Image.new("RGB", (self.width, self.height))
        self.draw = ImageDraw.Draw(self.image)
        self.horizon = int(self.height * 0.66)
        for y in range(self.horizon):
            self.draw.line([(0, y), (self.width, y)], fill=mix(*self.sky, y / self.horizon))

    def disc(self, x, y, radius, colour):
        """The sun or the moon, with a halo."""
        cx, cy, r = x * self.width, y * self.height, radius * self.height
        glow = Image.new("L", self.image.size, 0)
        ImageDraw.Draw(glow).ellipse([cx - 2 * r, cy - 2 * r, cx + 2 * r, cy + 2 * r], fill=110)
        glow = glow.filter(ImageFilter.GaussianBlur(r * 0.8))
        self.image.paste(Image.new("RGB", self.image.size, hex_colour(colour)), mask=glow)
        self.draw.ellipse([cx - r, cy - r, cx + r, cy + r], fill=hex_colour(colour))

    def hills(self, colour, base, swing):
        points = [(0, self.horizon)]
        phase = self.random.uniform(0, 6)
        for x in range(0, self.width + 8, 8):
            t = x / self.width
            y = base + swing * (math.sin(t * 5 + phase) + 0.4 * math.sin(t * 13 + phase * 2))
            points.append((x, y * self.height))
        self.draw.polygon([*points, (self.width, self.horizon)], fill=hex_colour(colour))

    def houses(self, colour, low, high, windows):
        x = -10
        while x < self.width:
            wide = self.random.randint(60, 130)
            top = self.horizon - self.random.uniform(low, high) * self.height
            shade = mix(colour, self.sky[1], self.random.uniform(0, 0.18))
            self.draw.rectangle([x, top, x + wide, self.horizon], fill=shade)
            if self.random.random() < 0.35:
                self.draw.polygon([(x, top), (x + wide / 2, top - 34), (x + wide, top)], fill=shade)
            if windows:
                self.windows(x, top, wide, shade)
            x += wide + self.random.choice([0, 0, 6, 20])

    def windows(self, x, top, wide, shade):
        for wy in range(int(top) + 16, self.horizon - 34, 30):
            for wx in range(int(x) + 12, int(x + wide) - 18, 24):
                on = self.random.random() < self.lit
                fill = (255, 214, 130) if on else mix(shade, (255, 255, 255) if self.lit < 0.3 else (0, 0, 0), 0.22)
                self.draw.rectangle([wx, wy, wx + 11, wy + 16], fill=fill)

    def street(self):
        pavement = mix(self.road, (255, 255, 255), 0.28)
        self.draw.rectangle([0, self.horizon, self.width, self.horizon + 26], fill=pavement)
        self.draw.rectangle([0, self.horizon + 26, self.width, self.height], fill=self.road)
        y = self.horizon + (self.height - self.horizon) * 0.62
        for x in range(-30, self.width, 150):
            self.draw.polygon([(x + 10, y), (x + 90, y), (x + 84, y + 9), (x, y + 9)], fill=(236, 232, 215))

    def crossing(self, at):
        for k in range(7):
            x = at * self.width + k * 44
            self.draw.polygon(
                [(x, self.horizon + 30), (x + 24, self.horizon + 30), (x + 6, self.height), (x - 26, self.height)],
                fill=(236, 232, 215),
            )

    def tree(self, at, size, crown):
        x, foot = at * self.width, self.horizon + 16
        self.draw.rectangle([x - 5, foot - size, x + 5, foot], fill=(84, 62, 48))
        base = hex_colour(crown)
        for _ in range(16):
            dx, dy = self.random.uniform(-0.5, 0.5) * size, self.random.uniform(-0.5, 0.4) * size
            r = size * self.random.uniform(0.22, 0.36)
            shade = mix(base, (255, 255, 255) if dy < 0 else (0, 0, 0), 0.16 * abs(dy) / (0.5 * size))
            cy = foot - size * 1.25 + dy
            self.draw.ellipse([x + dx - r, cy - r, x + dx + r, cy + r], fill=shade)

    def lamp(self, at):
        x, foot = at * self.width, self.horizon + 18
        self.draw.rectangle([x - 3, foot - 190, x + 3, foot], fill=(52, 56, 66))
        self.draw.rectangle([x - 3, foot - 192, x + 44, foot - 187], fill=(52, 56, 66))
        if self.lit > 0.3:
            cone = Image.new("L", self.image.size, 0)
            ImageDraw.Draw(cone).polygon([(x + 36, foot - 180), (x - 50, foot + 30), (x + 130, foot + 30)], fill=90)
            cone = cone.filter(ImageFilter.GaussianBlur(16))
            self.image.paste(Image.new("RGB", self.image.size, (255, 220, 150)), mask=cone)
        self.draw.ellipse([x + 26, foot - 190, x + 48, foot - 176], fill=(255, 236, 180))

    def light(self, at, on):
        x, foot = at * self.width, self.horizon + 20
        self.draw.rectangle([x - 4, foot - 170, x + 4, foot], fill=(44, 48, 56))
        self.draw.rounded_rectangle([x - 19, foot - 250, x + 19, foot - 150], 8, fill=(34, 37, 44))
        colours = [(232, 66, 60), (244, 186, 56), (70, 190, 104)]
        for k, colour in enumerate(colours):
            fill = colour if k == on else mix(colour, (34, 37, 44), 0.78)
            self.draw.ellipse([x - 12, foot - 244 + k * 31, x + 12, foot - 220 + k * 31], fill=fill)

    def car(self, at, lane, colour, size=1.0):
        paint = hex_colour(colour)
        w, h = 170 * size, 46 * size
        x = at * self.width
        y = self.horizon + (self.height - self.horizon) * lane
        self.draw.ellipse([x - 4, y + h * 0.82, x + w + 4, y + h * 1.3], fill=mix(self.road, (0, 0, 0), 0.45))
        self.draw.polygon(
            [(x + w * 0.18, y), (x + w * 0.32, y - h * 0.7), (x + w * 0.68, y - h * 0.7), (x + w * 0.84, y)],
            fill=mix(paint, (0, 0, 0), 0.2),
        )
        for a, b, c, d in ((0.24, 0.34, 0.48, 0.48), (0.52, 0.52, 0.66, 0.77)):
            self.draw.polygon(
                [(x + w * a, y - 2), (x + w * b, y - h * 0.6), (x + w * c, y - h * 0.6), (x + w * d, y - 2)],
                fill=(196, 222, 232),
            )
        self.draw.rounded_rectangle([x, y, x + w, y + h], 14 * size, fill=paint)
        self.draw.rectangle([x + w - 10 * size, y + 10 * size, x + w, y + 20 * size], fill=(255, 240, 190))
        self.draw.rectangle([x, y + 10 * size, x + 8 * size, y + 20 * size], fill=(214, 52, 52))
        for centre in (0.22, 0.78):
            for radius, fill in ((19, (28, 30, 34)), (9, (170, 174, 180))):
                r = radius * size
                self.draw.ellipse([x + w * centre - r, y + h - r, x + w * centre + r, y + h + r], fill=fill)

    def tram(self, at, colour):
        x, y = at * self.width, self.horizon - 96
        self.draw.line([(0, y - 46), (self.width, y - 46)], fill=(60, 62, 70), width=3)
        self.draw.line([(x + 150, y), (x + 180, y - 46)], fill=(60, 62, 70), width=4)
        self.draw.rounded_rectangle([x, y, x + 460, y + 128], 22, fill=hex_colour(colour))
        self.draw.rectangle([x, y + 84, x + 460, y + 96], fill=(250, 246, 236))
        for k in range(7):
            left = x + 20 + k * 62
            self.draw.rounded_rectangle([left, y + 20, left + 48, y + 70], 6, fill=(206, 226, 234))
        for k in (70, 140, 320, 390):
            self.draw.ellipse([x + k - 15, y + 112, x + k + 15, y + 142], fill=(28, 30, 34))

    def walker(self, at, lane, colour, size=1.0):
        x = at * self.width
        foot = self.horizon + (self.height - self.horizon) * lane
        h = 92 * size
        for lean in (-9, 11):
            self.draw.line([(x, foot - h * 0.45), (x + lean * size, foot)], fill=(44, 46, 58), width=int(8 * size))
        self.draw.rounded_rectangle(
            [x - 12 * size, foot - h * 0.86, x + 12 * size, foot - h * 0.36], 9, fill=hex_colour(colour)
        )
        self.draw.ellipse([x - 9 * size, foot - h * 1.08, x + 9 * size, foot - h * 0.87], fill=(216, 172, 142))

    def weather(self, kind):
        for _ in range(260 if kind == "rain" else 320):
            x, y = self.random.uniform(0, self.width), self.random.uniform(0, self.height)
            if kind == "rain":
                self.draw.line([(x, y), (x - 7, y + 24)], fill=(196, 208, 222), width=1)
            else:
                r = self.random.uniform(1.5, 4.5)
                self.draw.ellipse([x - r, y - r, x + r, y + r], fill=(250, 252, 255))

    def caption(self, text, right=""):
        font = ImageFont.truetype("DejaVuSans-Bold.ttf", 26)
        for words, anchor, x in ((text, "ls", 24), (right, "rs", self.width - 24)):
            if not words:
                continue
            box = self.draw.textbbox((x, self.height - 24), words, font=font, anchor=anchor)
            self.draw.rounded_rectangle([box[0] - 12, box[1] - 9, box[2] + 12, box[3] + 9], 10, fill=(20, 24, 32))
            self.draw.text((x, self.height - 24), words, font=font, anchor=anchor, fill=(246, 246, 240))

    def finished(self):
        return self.image.resize(self.size, Image.LANCZOS)


MORNING = dict(sky=("f7c9a0", "fdeedd"), far="c2a3a8", near="8d6f7f", road="5e6068", lit=0.05)
NOON = dict(sky=("6fb3e0", "dceffa"), far="a9bccb", near="c08b6c", road="666a70", lit=0.0)
DUSK = dict(sky=("3b3567", "f09a6c"), far="6a5277", near="3f3658", road="3a3a48", lit=0.45)
NIGHT = dict(sky=("0c1230", "27345f"), far="222b52", near="161c38", road="1f2432", lit=0.5)
GREY = dict(sky=("8694a3", "c3ccd3"), far="8f9aa5", near="6b7480", road="4d545c", lit=0.2)
SNOW = dict(sky=("a9bdd0", "e8eff5"), far="b3c2d0", near="8497a8", road="c9d3dc", lit=0.25)


def crossing():
    s = Scene(1, **NOON)
    s.disc(0.82, 0.17, 0.06, "fff4c8")
    s.houses(s.far, 0.25, 0.45, False)
    s.houses(s.near, 0.12, 0.34, True)
    s.street()
    s.crossing(0.33)
    s.light(0.3, 0)
    s.car(0.66, 0.55, "d9543f", 1.15)
    s.walker(0.42, 0.55, "2f6f8f", 1.3)
    s.walker(0.5, 0.8, "e0a93b", 1.5)
    s.caption("crossing")
    return s


def morning_walk():
    s = Scene(2, **MORNING)
    s.disc(0.25, 0.36, 0.09, "fff1c2")
    s.hills("d6b3ad", 0.5, 0.035)
    s.houses(s.near, 0.08, 0.24, True)
    s.street()
    for at, size in ((0.12, 120), (0.36, 90), (0.9, 130)):
        s.tree(at, size, "7f9b5c")
    s.walker(0.56, 0.3, "b6483f", 1.4)
    s.walker(0.62, 0.33, "35527d", 1.35)
    s.caption("morning walk")
    return s


def lot():
    s = Scene(3, **NOON)
    s.hills("9dbb86", 0.55, 0.02)
    s.houses(s.far, 0.06, 0.16, False)
    s.street()
    for k, paint in enumerate(("3f6fb5", "e3e3df", "c9463d", "4f8f62")):
        s.car(0.03 + k * 0.24, 0.2 + (k % 2) * 0.05, paint, 1.0)
        s.car(0.08 + k * 0.24, 0.68 + (k % 2) * 0.04, ("e0b13f", "6d5a9c", "34495e", "d77b3f")[k], 1.2)
    s.tree(0.95, 120, "5f8f55")
    s.caption("lot #7")
    return s


def what_is_this():
    s = Scene(4, **DUSK)
    s.disc(0.52, 0.5, 0.15, "ffcf8a")
    s.hills("5d4773", 0.56, 0.03)
    s.street()
    s.draw.ellipse([470, 150, 650, 210], fill=(150, 156, 176))
    s.draw.ellipse([515, 118, 605, 186], fill=(206, 226, 234))
    for k in range(5):
        s.draw.ellipse([490 + k * 32, 180, 502 + k * 32, 192], fill=(255, 226, 130))
    s.car(0.1, 0.5, "55607a", 1.1)
    s.caption("what is this?")
    return s


def plus():
    s = Scene(5, **NOON)
    s.hills("86b489", 0.52, 0.03)
    s.street()
    s.tree(0.2, 150, "4f8a56")
    s.tree(0.5, 110, "6ba35e")
    s.tree(0.8, 160, "3f7a4e")
    s.walker(0.36, 0.4, "d05a7a", 1.3)
    s.caption("a+b")
    return s


def percent():
    s = Scene(6, **DUSK)
    s.disc(0.8, 0.3, 0.05, "ffe0a8")
    s.houses(s.far, 0.3, 0.52, True)
    s.houses(s.near, 0.14, 0.3, True)
    s.street()
    s.lamp(0.15)
    s.lamp(0.6)
    s.car(0.35, 0.5, "e2b33c", 1.15)
    s.caption("100%")
    return s


def slash():
    s = Scene(7, **GREY)
    s.houses(s.near, 0.15, 0.36, False)
    s.street()
    half = s.image.crop((0, 0, s.width // 2, s.height))
    s.image.paste(Image.blend(half, Image.new("RGB", half.size, (240, 140, 90)), 0.45), (0, 0))
    s.draw.line([(s.width // 2, 0), (s.width // 2, s.height)], fill=(250, 246, 236), width=6)
    s.car(0.42, 0.5, "2f6f8f", 1.2)
    s.caption("50%2F50")
    return s


def tram():
    s = Scene(8, **MORNING)
    s.houses(s.far, 0.3, 0.48, True)
    s.street()
    s.tram(0.36, "c0392f")
    s.tree(0.1, 120, "6f9358")
    s.walker(0.28, 0.2, "35527d", 1.3)
    s.caption("Straßenbahn über Köln")
    return s


def traffic_light():
    s = Scene(9, **GREY)
    s.houses(s.far, 0.2, 0.42, True)
    s.street()
    s.light(0.2, 2)
    s.light(0.72, 1)
    s.car(0.34, 0.45, "4f8f62", 1.2)
    s.weather("rain")
    s.caption("green light")
    return s


def double_slash():
    s = Scene(10, **SNOW)
    s.hills("c9d6e2", 0.5, 0.04)
    s.houses(s.near, 0.1, 0.26, True)
    s.street()
    s.tree(0.16, 120, "7d95a2")
    s.tree(0.86, 140, "6d8896")
    s.walker(0.5, 0.35, "b6483f", 1.35)
    s.weather("snow")
    s.caption("images // snow")
    return s


def japanese():
    s = Scene(11, **MORNING)
    s.disc(0.72, 0.26, 0.12, "e4584c")
    s.hills("b493a5", 0.46, 0.05)
    s.hills("8d7391", 0.55, 0.03)
    s.street()
    for at, size in ((0.1, 130), (0.3, 100), (0.55, 120)):
        s.tree(at, size, "eba9bd")
    s.walker(0.78, 0.35, "35527d", 1.3)
    s.caption("spring")
    return s


def night():
    s = Scene(12, **NIGHT)
    for _ in range(70):
        x, y = s.random.uniform(0, s.width), s.random.uniform(0, s.horizon * 0.6)
        s.draw.ellipse([x, y, x + 3, y + 3], fill=(220, 226, 246))
    s.disc(0.2, 0.2, 0.055, "f3f0da")
    s.houses(s.far, 0.25, 0.5, True)
    s.houses(s.near, 0.14, 0.3, True)
    s.street()
    s.lamp(0.3)
    s.lamp(0.75)
    s.car(0.45, 0.5, "8a93ad", 1.15)
    s.caption("night")
    return s


IMAGES = {
    "crossing.jpg": crossing,
    "walk.jpg": morning_walk,
    "lot.jpg": lot,
    "question.png": what_is_this,
    "plus.png": plus,
    "percent.jpg": percent,
    "slash.png": slash,
    "tram.jpg": tram,
    "light.jpg": traffic_light,
    "double.jpg": double_slash,
    "spring.png": japanese,
    "night.jpg": night,
}


def images():
    for name, scene in IMAGES.items():
        picture = scene().finished()
        if name.endswith(".png"):
            picture.quantize(96, dither=Image.Dither.NONE).save(HERE / name, optimize=True)
        else:
            picture.save(HERE / name, quality=78, optimize=True, progressive=True)


def video():
    """Ten seconds of a drive; the index (moov) stands at the end, as recorders leave it."""
    rate, seconds = 12, 10
    with tempfile.TemporaryDirectory() as folder:
        for frame in range(rate * seconds):
            t = frame / (rate * seconds)
            s = Scene(21, **(NOON | {"sky": ("6fb3e0", "dceffa")}), size=(480, 270))
            s.disc(0.15 + 0.7 * t, 0.16, 0.06, "fff4c8")
            s.houses(s.far, 0.25, 0.45, False)
            s.houses(s.near, 0.12, 0.3, True)
            s.street()
            s.light(0.62, 0 if t < 0.45 else 2)
            s.car(-0.2 + 1.25 * t, 0.5, "d9543f", 1.0)
            s.car(1.05 - 1.4 * t, 0.2, "3f6fb5", 0.8)
            s.caption("a drive", f"{frame / rate:04.1f} s")
            s.finished().save(f"{folder}/{frame:04}.png")
        command = ["ffmpeg", "-v", "error", "-y", "-framerate", str(rate), "-i", f"{folder}/%04d.png"]
        command += ["-c:v", "libx264", "-profile:v", "main", "-preset", "veryslow", "-crf", "27", "-g", str(rate)]
        command += ["-pix_fmt", "yuv420p", "-map_metadata", "-1", "-fflags", "+bitexact", str(HERE / "drive.mp4")]
        subprocess.run(command, check=True)


def sound():
    """Four seconds of a little tune, 8 kHz mono."""
    rate = 8000
    notes = [392, 494, 587, 784, 659, 587, 494, 392]
    samples = bytearray()
    for note in notes:
        for k in range(rate // 2):
            t = k / rate
            loud = min(1, t * 40) * math.exp(-4 * t)
            tone = math.sin(2 * math.pi * note * t) + 0.3 * math.sin(4 * math.pi * note * t)
            samples += struct.pack("<h", int(13000 * loud * tone))
    with wave.open(str(HERE / "tune.wav"), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(samples)


def document():
    """A PDF of one page, written by hand."""
    content = (
        b"0.93 0.95 0.98 rg 0 0 420 297 re f 0.16 0.32 0.62 rg 0 247 420 50 re f "
        b"BT /F1 20 Tf 1 1 1 rg 24 264 Td (Street survey, sheet 1) Tj ET "
        b"BT /F1 12 Tf 0.15 0.17 0.22 rg 24 212 Td (One page, to see that a PDF comes through with its type.) Tj "
        b"0 -20 Td (Sample document of gsgate's demo.) Tj ET "
        b"0.85 0.33 0.25 rg 24 60 90 90 re f 0.25 0.56 0.39 rg 134 60 90 60 re f 0.88 0.69 0.24 rg 244 60 90 110 re f"
    )
    bodies = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 420 297] /Contents 4 0 R"
        b" /Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
    ]
    out, places = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(bodies, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 5\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer << /Size 5 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % start
    (HERE / "sheet.pdf").write_bytes(out)


def annotations():
    """Boxes for the images, stored compressed."""
    maker = random.Random(3)
    boxes = [
        {
            "image": name,
            "label": maker.choice(["car", "person", "tree", "traffic light"]),
            "box": [maker.randrange(0, 400), maker.randrange(0, 240), 60 + k, 48 + k],
        }
        for k, name in enumerate(list(IMAGES) * 6)
    ]
    text = json.dumps({"title": "street scenes", "boxes": boxes}, indent=1).encode()
    (HERE / "boxes.json.gz").write_bytes(gzip.compress(text, mtime=0))


if __name__ == "__main__":
    for part in sys.argv[1:] or ["images", "video", "sound", "document", "annotations"]:
        globals()[part]()
