"""A CherryPy app: its tree is a WSGI callable, and appd takes the place of CherryPy's own server and engine.

Run it under appd:  appctl create cherry --directory "$PWD" --app wsgi:app --bind 127.0.0.1:8005 --workers 2
"""

import os
from collections.abc import Iterator

import cherrypy


class Root:
    @cherrypy.expose
    def index(self) -> str:
        return "Hello from CherryPy under appd!\n"

    @cherrypy.expose
    @cherrypy.tools.json_out()
    def pid(self) -> dict[str, int]:
        return {"pid": os.getpid()}

    @cherrypy.expose
    def visits(self) -> str:
        """Counts in a session; in a worker's memory here, so one worker, or sessions in files, in earnest."""
        cherrypy.session["visits"] = cherrypy.session.get("visits", 0) + 1
        return f"{cherrypy.session['visits']}\n"

    @cherrypy.expose
    def upload(self, file: cherrypy._cpreqbody.Part) -> str:
        content = file.file.read()
        return f"{file.filename}: {len(content)} bytes\n"

    @cherrypy.expose
    def stream(self, lines: str = "10") -> Iterator[str]:
        return (f"line {number}\n" for number in range(int(lines)))

    stream._cp_config = {"response.stream": True}


# Embedded: no server, no signal handlers, no autoreloader of CherryPy's own.
cherrypy.config.update({"environment": "embedded"})
app = cherrypy.tree.mount(Root(), "/", {"/": {"tools.sessions.on": True}})
