"""A bar chart as SVG: IOPS of each target as a share of the ceiling's, case by case."""

from html import escape

COLOURS = {"ceiling": "#c9ced6", "sluice": "#1668c1", "tgt": "#d98032"}
WIDTH, LABELS, BAR, GAP = 900, 230, 14, 16
STYLE = "text{font:12px system-ui,sans-serif;fill:#333}.n{fill:#666}.h{font-size:14px;font-weight:600}"


def bars(results: dict[str, dict[str, dict]]) -> str:
    """`results`: case -> target -> row with `iops`. The longest bar of a case is that case's full width."""
    parts, y = [], 52
    for case, rows in results.items():
        longest = max(row["iops"] for row in rows.values())
        parts.append(f'<text x="{LABELS - 12}" y="{y + BAR * len(rows) / 2 + 4:.0f}" text-anchor="end">'
                     f"{escape(case)}</text>")
        for name, row in rows.items():
            width = (WIDTH - LABELS - 190) * row["iops"] / longest
            measured = name != "ceiling" and "to_ceiling" in row
            share = f', {row["to_ceiling"]["median"]:.0%} of the ceiling' if measured else ""
            parts.append(f'<rect x="{LABELS}" y="{y}" width="{width:.1f}" height="{BAR - 2}" '
                         f'fill="{COLOURS.get(name, "#888")}"/>')
            parts.append(f'<text class="n" x="{LABELS + width + 6:.1f}" y="{y + BAR - 4}">'
                         f'{row["iops"]:,.0f}/s{share}</text>')
            y += BAR
        y += GAP
    names = list(dict.fromkeys(name for rows in results.values() for name in rows))
    legend = "".join(f'<rect x="{LABELS + 110 * i}" y="32" width="10" height="10" fill="{COLOURS.get(name, "#888")}"/>'
                     f'<text x="{LABELS + 110 * i + 16}" y="41">{escape(name)}</text>' for i, name in enumerate(names))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}">'
            f'<style>{STYLE}</style><rect width="100%" height="100%" fill="#fff"/>'
            f'<text class="h" x="12" y="22">Commands per second on one core, RAM unit, loopback TCP</text>'
            f'{legend}{"".join(parts)}</svg>\n')
