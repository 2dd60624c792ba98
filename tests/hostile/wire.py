"""Login and a few PDUs of iSCSI, octet by octet, for connections that mean no good; and a login that does."""

import hashlib
import socket
import struct

NO_TAG = 0xFFFFFFFF
LOGIN_RESPONSE, TEXT_RESPONSE, NOP_IN = 0x23, 0x24, 0x20
DIGESTS = {"5": hashlib.md5, "6": hashlib.sha1, "7": hashlib.sha256, "8": hashlib.sha3_256}


class Refused(Exception):
    """A login that was answered with a status other than success; its class and detail."""


def pdu(header: bytearray, data: bytes = b"", claimed: int | None = None) -> bytes:
    """`claimed`: the length that the header tells."""
    header[5:8] = (len(data) if claimed is None else claimed).to_bytes(3, "big")
    return bytes(header) + data + bytes(-len(data) % 4)


def login(text: bytes, stage: int, following: int | None = None, continues: bool = False, number: int = 1,
          stat_sn: int = 0) -> bytes:
    header = bytearray(48)
    header[0] = 0x43
    header[1] = stage << 2 | (0x80 | following if following is not None else 0) | (0x40 if continues else 0)
    header[8] = 0x80
    struct.pack_into(">I", header, 10, number & 0xFFFFFFFF)
    struct.pack_into(">II", header, 24, 1, stat_sn)
    return pdu(header, text)


def keys(**pairs: str) -> bytes:
    return "".join(f"{key}={value}\0" for key, value in pairs.items()).encode()


def discovery(name: str, number: int) -> bytes:
    return login(keys(InitiatorName=name, SessionType="Discovery"), 1, 3, number=number)


def send_targets(tag: int) -> bytes:
    header = bytearray(48)
    header[0:2] = 0x44, 0x80  # immediate, so that it needs no place in the window
    struct.pack_into(">III", header, 16, tag, NO_TAG, 1)
    return pdu(header, keys(SendTargets="All"))


def long_text_header() -> bytes:
    header = bytearray(48)
    header[0:2] = 0x44, 0x80
    struct.pack_into(">III", header, 16, 1, NO_TAG, 1)
    return pdu(header, claimed=256 * 1024)


def ping_ahead(ahead: int) -> bytes:
    header = bytearray(48)
    header[0:2] = 0x00, 0x80
    struct.pack_into(">III", header, 16, 9, NO_TAG, 1 + ahead)
    return pdu(header, bytes(8192))


def owed_write(tag: int, cmd_sn: int, lba: int, blocks: int) -> bytes:
    header = bytearray(48)
    header[0:2] = 0x01, 0x80 | 0x20 | 1
    struct.pack_into(">IIII", header, 16, tag, blocks * 512, cmd_sn, 0)
    struct.pack_into(">BBQIBB", header, 32, 0x8A, 0, lba, blocks, 0, 0)
    return pdu(header)


def answer_to_ping(header: bytes) -> bytes:
    reply = bytearray(48)
    reply[0:2] = 0x40, 0x80
    reply[8:16] = header[8:16]
    reply[16:20] = NO_TAG.to_bytes(4, "big")
    reply[20:24] = header[20:24]
    return pdu(reply)


def whole_pdus(received: bytearray):
    """Takes the whole PDUs from the front: header and data."""
    while len(received) >= 48:
        length = int.from_bytes(received[5:8], "big")
        end = 48 + length + -length % 4
        if len(received) < end:
            return
        header, data = bytes(received[:48]), bytes(received[48 : 48 + length])
        del received[:end]  # before the caller, who may want no more than this one
        yield header, data


def connect(port: int, source: str, patience_s: float) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port), timeout=patience_s, source_address=(source, 0))
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def log_in(port: int, target: str, name: str, user: str, secret: str, number: int, source: str = "127.0.0.1",
           patience_s: float = 30) -> socket.socket:
    """A login with CHAP, as an initiator with a secret does it; the socket of the session."""
    made = connect(port, source, patience_s)
    try:
        received = bytearray()

        def ask(text: bytes, stage: int, following: int | None = None) -> dict[str, str]:
            made.sendall(login(text, stage, following, number=number))
            while True:
                for header, data in whole_pdus(received):
                    if header[0] & 0x3F != LOGIN_RESPONSE or header[36]:
                        raise Refused(f"{header[36]:02x}{header[37]:02x}")
                    return dict(pair.split("=", 1) for pair in data.decode().split("\0") if "=" in pair)
                part = made.recv(65536)
                if not part:
                    raise ConnectionError("closed in the midst of a login")
                received.extend(part)

        ask(keys(InitiatorName=name, TargetName=target, SessionType="Normal", AuthMethod="CHAP"), 0)
        challenge = ask(keys(CHAP_A="7,5"), 0)
        digest = DIGESTS[challenge["CHAP_A"]]
        octets = bytes([int(challenge["CHAP_I"])]) + secret.encode() + bytes.fromhex(challenge["CHAP_C"][2:])
        ask(keys(CHAP_N=user, CHAP_R="0x" + digest(octets).hexdigest()), 0, 1)
        ask(keys(InitialR2T="Yes", ImmediateData="No", MaxBurstLength="1048576"), 1, 3)
    except BaseException:
        made.close()
        raise
    return made
