"""Line charts as SVG, for the pictures beside bench/RESULTS.md."""
import math

COLOURS = ["#d62728", "#1f77b4", "#2ca02c", "#9467bd", "#c49c00", "#17becf", "#8c564b", "#e377c2", "#7f7f7f", "#ff7f0e"]
WIDTH, HEIGHT, EDGE = 520, 300, 56


def _ticks(low, high, log):
    if log:
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        return [step * 10.0 ** d for d in decades for step in (1, 2, 5) if low <= step * 10.0 ** d <= high]
    step = 10.0 ** math.floor(math.log10((high - low) / 2))
    step *= next(times for times in (1, 2, 5, 10) if (high - low) / (step * times) <= 6)
    first = math.ceil(low / step - 1e-9)
    return [step * i for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _text(value):
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


class _Scale:
    def __init__(self, values, log, first, last):
        low, high = min(values), max(values)
        if not log and high - low < 1e-12:
            low, high = low - 1, high + 1
        self.log, self.low, self.high, self.first, self.last = log, low, high, first, last

    def __call__(self, value):
        place = math.log if self.log else float
        share = (place(value) - place(self.low)) / ((place(self.high) - place(self.low)) or 1)
        return self.first + share * (self.last - self.first)


def chart(title, series, x_label="", log_x=False, log_y=False, low=None, legend=True, height=HEIGHT):
    """A chart of {name: [(x, y), ...]}: (its SVG, drawn from (0, 0), its width, its height)."""
    xs = [x for points in series.values() for x, _ in points]
    ys = [y for points in series.values() for _, y in points] + ([] if low is None else [low])
    below = height + 30
    to_x, to_y = _Scale(xs, log_x, EDGE, WIDTH - 20), _Scale(ys, log_y, height - 10, 34)
    parts = [f'<text x="{EDGE}" y="20" font-weight="bold">{title}</text>']
    for tick in _ticks(to_y.low, to_y.high, log_y):
        parts.append(f'<line x1="{EDGE}" x2="{WIDTH - 20}" y1="{to_y(tick):.1f}" y2="{to_y(tick):.1f}" stroke="#dde1e6"/>'
                     f'<text x="{EDGE - 6}" y="{to_y(tick) + 4:.1f}" text-anchor="end">{_text(tick)}</text>')
    parts += [f'<text x="{to_x(tick):.1f}" y="{height + 8}" text-anchor="middle">{_text(tick)}</text>' for tick in _ticks(to_x.low, to_x.high, log_x)]
    parts.append(f'<text x="{WIDTH - 20}" y="{height + 24}" text-anchor="end">{x_label}</text>')
    for row, (name, points) in enumerate(series.items()):
        colour = COLOURS[row % len(COLOURS)]
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.6" points="{" ".join(f"{to_x(x):.1f},{to_y(y):.1f}" for x, y in points)}"/>')
        if legend:
            parts += [f'<circle cx="{to_x(x):.1f}" cy="{to_y(y):.1f}" r="3" fill="{colour}"/>' for x, y in points]
            parts.append(f'<text x="{EDGE + 6}" y="{below + 14}" fill="{colour}">{name}</text>')
            below += 15
    return "".join(parts), WIDTH, below + 10


def picture(charts, columns=2):
    """Charts beside and below each other as one SVG file."""
    body, top = [], 0
    for begin in range(0, len(charts), columns):
        row = charts[begin:begin + columns]
        body += [f'<g transform="translate({i * WIDTH},{top})">{svg}</g>' for i, (svg, _, _) in enumerate(row)]
        top += max(height for _, _, height in row)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {columns * WIDTH} {top}" font-family="sans-serif" font-size="12">'
            f'<rect width="100%" height="100%" fill="#fff"/>{"".join(body)}</svg>\n')
