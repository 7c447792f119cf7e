"""A subscriber's system: a real HTTP server on this machine, which notes what it is sent."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Subscriber:
    """Answers each request with the next of ``answers``, and the last of them from then on."""

    def __init__(self):
        self.answers = [204]
        self.requests = []  # (path, headers, body)
        self.on_request = lambda: None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._make_handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/surveys"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def ids(self):
        return [headers["webhook-id"] for _path, headers, _body in self.requests]

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def _make_handler(subscriber):
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                subscriber.requests.append((self.path, dict(self.headers), body))
                subscriber.on_request()
                status = subscriber.answers.pop(0) if len(subscriber.answers) > 1 else subscriber.answers[0]
                self.send_response(status)
                self.send_header("Location", subscriber.url + "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        return Handler
