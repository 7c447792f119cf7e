"""A mail server on this machine, which notes what it takes and refuses what it is told to."""

import socketserver
import threading


class MailServer:
    """Answers a command with what ``answers`` has for it, else that all is well; 421 closes the connection."""

    def __init__(self):
        self.answers = {}  # such as {"RCPT": "451 Later"}; "." is the end of the message
        self.commands = []
        self.taken = []  # whom it has taken a message for
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), self._make_handler())
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def _make_handler(server):
        usual = {"DATA": "354 Go on", "QUIT": "221 Bye", "EHLO": "250 mail.example.org"}

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                self._say("220 mail.example.org")
                while line := self.rfile.readline():
                    command = line.split()[0].decode().upper()
                    server.commands.append(command)
                    if command == "RCPT":
                        recipient = line.decode().split("<")[1].split(">")[0]
                    answer = self._say(server.answers.get(command, usual.get(command, "250 OK")))
                    if answer.startswith("354") and self._read_message().startswith("250"):
                        server.taken.append(recipient)
                    if answer[:3] in ("221", "421"):
                        return

            def _read_message(self):
                while self.rfile.readline() not in (b".\r\n", b""):
                    pass
                return self._say(server.answers.get(".", "250 Taken"))

            def _say(self, answer):
                self.wfile.write(answer.encode() + b"\r\n")
                return answer

        return Handler
