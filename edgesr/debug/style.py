"""The page's style sheet: colours by the reader's setting, light or dark."""

STYLE = """
:root{color-scheme:light dark;--back:#fff;--text:#1a1d21;--soft:#565d66;--line:#d4d9df;
--panel:#f5f7f9;--mark:#0a58ca;--grid:#c3cad2}
@media (prefers-color-scheme:dark){:root{--back:#14171a;--text:#e7eaed;--soft:#a9b1ba;
--line:#3a4149;--panel:#1d2125;--mark:#79b8ff;--grid:#4a525b}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--text);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
header,main,footer{max-width:1180px;margin:0 auto;padding:0 20px}
header{padding-top:28px}h1{font-size:1.75rem;line-height:1.2;margin:0 0 .4rem}
h2{font-size:1.25rem;margin:2.4rem 0 .6rem;padding-top:.4rem;border-top:1px solid var(--line)}
h3{font-size:1rem;margin:1rem 0 0}
a{color:var(--mark)}a:focus-visible,.wide:focus-visible{outline:3px solid var(--mark);
outline-offset:2px}
.skip{position:absolute;left:-999px}.skip:focus{left:12px;top:12px;background:var(--back);
padding:6px 10px;z-index:1}
nav ul{display:flex;flex-wrap:wrap;gap:.3rem 1.1rem;padding:0;margin:.6rem 0;list-style:none}
.verdict{font-weight:600;margin:.4rem 0}
.wide{overflow:auto;border:1px solid var(--line);border-radius:6px;margin:.7rem 0 .3rem}
table{border-collapse:collapse;width:100%;font-size:.875rem;font-variant-numeric:tabular-nums}
th,td{padding:.36rem .7rem;text-align:right;border-top:1px solid var(--line);vertical-align:top}
tr:first-child th,tr:first-child td{border-top:0}
tbody td{border-top:1px solid var(--line)}
thead th{background:var(--panel);vertical-align:bottom}
th.text,td.text{text-align:left;overflow-wrap:anywhere}tbody th{white-space:nowrap}
.note{color:var(--soft);font-size:.875rem;margin:.2rem 0 .6rem}
.bar{display:block}.bar .gain,.bar .seen{fill:var(--mark)}.bar .grid{fill:var(--grid)}
.crops{display:flex;flex-wrap:wrap;gap:10px;margin:.3rem 0 1rem}figure{margin:0}
.crops img{display:block;border-radius:4px;image-rendering:pixelated;background:var(--panel)}
figcaption{font-size:.875rem;color:var(--soft)}footer{padding-bottom:40px}
@media print{.wide{overflow:visible}}
"""
