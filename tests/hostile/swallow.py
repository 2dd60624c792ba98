"""A listener that accepts whoever comes and takes whatever they send: what a swarm costs the host that it comes from,
without a gateway. Prints its port; ends with its standard input."""

import selectors
import socket
import sys


def main() -> int:
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    listener.setblocking(False)
    print(listener.getsockname()[1], flush=True)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    selector.register(sys.stdin, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is sys.stdin:
                return 0
            try:
                if key.fileobj is listener:
                    selector.register(listener.accept()[0], selectors.EVENT_READ)
                elif not key.fileobj.recv(65536):
                    raise ConnectionError
            except BlockingIOError:
                pass
            except OSError:
                selector.unregister(key.fileobj)
                key.fileobj.close()


if __name__ == "__main__":
    sys.exit(main())
