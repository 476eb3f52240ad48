"""Views for notebooks, built of ipywidgets and anywidget, given the manager."""
