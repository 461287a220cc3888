"""What moves in a notebook: a live view of a namespace, a panel of components, a panel of checks.

    feed    what is in a namespace, kept up to date by watches
    scene   what of it the live view shows: pure
    live    the live view: pods by node, a control to scale, one to kill a pod, events
    panel   the components of a cluster, to stop and start
    checks  a lesson's exercises, checked one after the other
    shown   what these have in common: a widget in a notebook, one fixed line of text elsewhere
    style   how they look: the colours of the page that they are on

A click is answered when no cell runs: the kernel does one thing at a time. What goes wrong is told in the view itself.
Importing ipywidgets takes a third of a second, so a lesson that shows none of these does not pay for it.
"""
