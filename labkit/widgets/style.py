"""How the widgets look. Colours of text and ground are the page's own (JupyterLab's and Voilà's variables, light or
dark); colours that say something are those of the verdicts, which keep a contrast of 3:1 on both.
"""

from labkit.verdict import COLOURS, State

LOOKS = {
    "ready": COLOURS[State.RIGHT], "starting": COLOURS[State.CONVERGING], "failing": COLOURS[State.WRONG],
    "done": COLOURS[State.NOT_TRIED], "ending": COLOURS[State.UNCHECKED],
}  # fmt: skip

INK, QUIET = "var(--jp-ui-font-color1,#1f2430)", "var(--jp-ui-font-color2,#566072)"
GROUND, SHADE = "var(--jp-layout-color1,#fff)", "var(--jp-layout-color2,#f1f3f8)"
LINE = "var(--jp-border-color2,#d5d9e2)"
MONO = "ui-monospace,'DejaVu Sans Mono',Menlo,monospace"

STYLE = (
    f".lk-view{{border:1px solid {LINE};border-radius:10px;padding:10px 14px;background:{GROUND};color:{INK};"
    "max-width:980px;gap:6px;margin:4px 0 8px}"
    ".lk-view .widget-html-content,.lk-view .jupyter-widget-html-content{line-height:1.45}"
    f".lk-head{{font-size:15px;font-weight:600;color:{INK}}}.lk-quiet{{color:{QUIET}}}.lk-facts{{color:{INK}}}"
    f".lk-trouble{{color:{COLOURS[State.WRONG]};white-space:pre-wrap}}.lk-said{{color:{QUIET};white-space:pre-wrap}}"
    ".lk-nodes{gap:10px;flex-wrap:wrap;align-items:stretch}"
    f".lk-node{{flex:1 1 250px;background:{SHADE};border-radius:8px;padding:6px 8px;gap:4px;min-height:64px}}"
    f".lk-node-name{{font-weight:600;color:{QUIET}}}"
    ".lk-button{transition:none;width:auto;min-width:34px;margin:0;border-radius:6px}"
    f".lk-tile{{width:100%;text-align:left;font-family:{MONO};font-size:12.5px;background:{GROUND};color:{INK};"
    f"border:1px solid {LINE};border-left:5px solid {QUIET}}}"
    f".lk-is-chosen{{outline:2px solid {QUIET};outline-offset:-1px;font-weight:600}}"
    f".lk-danger:enabled{{color:#fff;background:{COLOURS[State.WRONG]}}}"
    ".lk-chosen,.lk-workload{align-items:center;gap:10px;min-height:34px}"
    f".lk-component{{align-items:center;gap:8px;border-left:5px solid {QUIET};padding-left:10px;margin:1px 0}}"
    ".lk-exercise{align-items:flex-start;gap:10px}.lk-exercise>:first-child{flex:1 1 auto}"
    ".lk-workload>:first-child,.lk-component>:first-child{min-width:330px}.lk-wanted{min-width:22px;text-align:center;font-weight:600}"
    f".lk-events{{font-family:{MONO};font-size:12px;line-height:1.5;color:{QUIET};white-space:pre-wrap;margin:0;"
    f"border-top:1px solid {LINE};padding-top:6px;word-break:normal;overflow-wrap:anywhere}}"
    + "".join(f".lk-{look}{{border-left-color:{colour}}}" for look, colour in LOOKS.items())
)
