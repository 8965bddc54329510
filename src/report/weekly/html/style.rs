//! How the page looks: light or dark as its reader has it, on a phone, and on A4.
//! Text has a contrast of at least 4.5 to 1 in both.

/// The page's style, without that of its pictures.
pub(super) const STYLE: &str = "
:root{color-scheme:light dark;--ink:#1b2330;--soft:#545f6e;--line:#d5dae1;--paper:#fff;--shade:#f1f4f8;--link:#0a5cae;
--c-request:#b4650a;--c-limit:#7a3ea8;--c-used:#0b6bcb;--c-needed:#167a46;--c-kill:#bf1f2b;--c-failed:#80600a}
@media (prefers-color-scheme:dark){:root{--ink:#e6eaf0;--soft:#a3adbb;--line:#3a424e;--paper:#14181e;--shade:#1e242d;--link:#7cbcf8;
--c-request:#e9a64a;--c-limit:#c7a2ea;--c-used:#5aa9f5;--c-needed:#5fcf96;--c-kill:#ff8086;--c-failed:#dcc56f}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1.5rem 1.25rem 3rem;max-width:66rem;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
#risks td:nth-child(2){overflow-wrap:normal}
h1{font-size:1.6rem;line-height:1.25;margin:0 0 .25rem}h2{font-size:1.2rem;margin:2.5rem 0 .5rem}h3{font-size:1rem;margin:1rem 0 .25rem}
p{margin:.4rem 0}a{color:var(--link)}.soft{color:var(--soft)}.small{font-size:.9rem}
:focus-visible{outline:3px solid var(--link);outline-offset:2px}
.skip{position:absolute;left:-999rem}.skip:focus{position:static}
nav ul{list-style:none;display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;margin:.75rem 0 0;padding:0;font-size:.9rem}
.tell{display:grid;grid-template-columns:repeat(auto-fit,minmax(17rem,1fr));gap:.9rem;margin:1.25rem 0}
.tell section{background:var(--shade);border-radius:.5rem;padding:.8rem 1rem}
.tell h2{font-size:.95rem;margin:0;color:var(--soft);font-weight:600}.tell p{margin:.3rem 0 0}
.tell .big{font-size:1.7rem;line-height:1.2;font-weight:650;font-variant-numeric:tabular-nums}
.tell .bad .big{color:var(--c-kill)}.tell .good .big{color:var(--c-needed)}
.pictures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,24rem),1fr));gap:1rem 2rem;align-items:start}
figure{margin:.75rem 0}figcaption{font-size:.9rem;color:var(--soft);margin-bottom:.3rem}
table{border-collapse:collapse;width:100%;font-size:.9rem;font-variant-numeric:tabular-nums;margin:.5rem 0}
caption{text-align:left;color:var(--soft);font-size:.9rem;padding-bottom:.3rem}
th,td{padding:.35rem .7rem .35rem 0;text-align:right;vertical-align:top;border-bottom:1px solid var(--line)}
th{font-weight:600}th:last-child,td:last-child{padding-right:0}thead th{color:var(--soft);font-size:.82rem;vertical-align:bottom}tbody th{text-align:left}
.t{text-align:left}td.n{white-space:nowrap}td.n,thead th{overflow-wrap:normal}.at{display:block;color:var(--soft);font-weight:400;font-size:.85em}
tbody th{min-width:9rem}.kill{color:var(--c-kill);font-weight:600}
details{border-top:1px solid var(--line);padding:.2rem 0}details[open]{padding-bottom:1rem}
summary{cursor:pointer;padding:.4rem 0}summary b{font-weight:600}summary .soft{font-size:.9rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1rem;margin:.5rem 0;font-size:.9rem}dt{color:var(--soft)}dd{margin:0}
ul.plain{padding-left:1.1rem;margin:.4rem 0;font-size:.9rem}
@media (max-width:44rem){body{padding:1rem .9rem 2rem}.w{display:none}h1{font-size:1.35rem}th,td{padding-right:.4rem}tbody th{min-width:6.4rem}table{font-size:.85rem}
dl{grid-template-columns:1fr}dd{margin-bottom:.3rem}}
@media print{@page{size:A4;margin:14mm}
:root{color-scheme:light;--ink:#000;--soft:#3f4855;--line:#c4cad3;--paper:#fff;--shade:#f1f4f8;--link:#000;
--c-request:#b4650a;--c-limit:#7a3ea8;--c-used:#0b6bcb;--c-needed:#167a46;--c-kill:#bf1f2b;--c-failed:#80600a}
body{padding:0;max-width:none;font-size:10pt}nav,.skip{display:none}a{text-decoration:none}
.w{display:table-cell}table{font-size:8pt}h2{break-after:avoid}tr,figure,.tell section{break-inside:avoid}
.tell{grid-template-columns:repeat(3,1fr)}.tell section{border:1px solid var(--line)}
.pictures{grid-template-columns:1fr 1fr;gap:.5rem 1.2rem}
details::details-content{content-visibility:visible;display:block;block-size:auto}summary{list-style:none;break-after:avoid;break-inside:avoid}
.pictures,dl{break-inside:avoid}dl{font-size:8pt;gap:.05rem .8rem}details{padding:0}details .pictures{max-width:15.5cm}}
";
