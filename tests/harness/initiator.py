"""A small iSCSI initiator for tests that must know exactly what was acknowledged: one connection, several commands at a
time, no recovery, no CHAP."""

import socket
import struct
from dataclasses import dataclass

GOOD, CHECK_CONDITION, BUSY, RESERVATION_CONFLICT = 0x00, 0x02, 0x08, 0x18
SIMPLE, ORDERED = 1, 2  # task attributes
ABORT_TASK, CLEAR_TASK_SET, LOGICAL_UNIT_RESET, TARGET_WARM_RESET, TARGET_COLD_RESET = 1, 4, 5, 6, 7  # task management
NO_TAG = 0xFFFFFFFF
ANSWER_S = 30


class ConnectionLost(Exception):
    """The target is gone, or said something that this initiator does not understand."""


class CommandFailed(Exception):
    """A status other than GOOD."""


@dataclass
class Answer:
    tag: int
    status: int
    data: bytes
    sense: bytes

    def __str__(self) -> str:
        """"GOOD", "BUSY", or the sense key and code as 0b/08/01."""
        if self.status == CHECK_CONDITION:
            sense = self.sense[2:]
            return f"{sense[2] & 15:02x}/{sense[12]:02x}/{sense[13]:02x}"
        return {GOOD: "GOOD", BUSY: "BUSY"}.get(self.status, f"status {self.status:02x}h")

    def must_be_good(self, what: str) -> "Answer":
        if self.status != GOOD:
            raise CommandFailed(f"{what}: status {self.status:#04x}, sense {self.sense[2:20].hex(' ')}")
        return self


@dataclass
class Outstanding:
    data_out: bytes
    data_in: bytearray
    cmd_sn: int = 0


class Initiator:
    """`number` distinguishes the sessions of one initiator name (it goes into the ISID). With `continues`, this one's
    connection takes the place of that one's in its session [RFC7143 6.3.4]."""

    def __init__(self, port: int, target: str, name: str, lun: int = 0, number: int = 1,
                 host: str = "127.0.0.1", continues: "Initiator | None" = None):
        self.lun = lun
        self.cmd_sn, self.exp_stat_sn, self.max_cmd_sn = 1, 0, 1
        self.tsih = 0
        if continues:
            self.tsih, self.cmd_sn = continues.tsih, continues.cmd_sn
        self.outstanding: dict[int, Outstanding] = {}
        self.next_tag = 1
        self.ended: list[Answer] = []  # that came while something else was waited for
        self.events: list[int] = []  # additional sense codes of SCSI asynchronous events
        self.segment, self.immediate, self.first_burst = 8192, True, 65536
        self.socket = socket.create_connection((host, port), timeout=ANSWER_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._log_in(target, name, number)
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def log_out(self) -> None:
        header = bytearray(48)
        header[0:2] = 0x46, 0x80
        struct.pack_into(">II", header, 24, self.cmd_sn, self.exp_stat_sn)
        self._send(header, b"")
        while self._receive()[0][0] & 0x3F != 0x26:
            pass
        self.socket.close()

    def submit(self, cdb: bytes, data_out: bytes = b"", data_in_length: int = 0, attribute: int = SIMPLE,
               at_once: bool = True) -> int:
        """Sends a command, with data at once where the target takes them; its tag."""
        tag, self.next_tag = self.next_tag, self.next_tag + 1
        header = bytearray(48)
        header[0] = 0x01
        header[1] = 0x80 | (0x40 if data_in_length else 0) | (0x20 if data_out else 0) | attribute
        struct.pack_into(">Q", header, 8, self.lun << 48)
        struct.pack_into(">IIII", header, 16, tag, len(data_out) or data_in_length, self.cmd_sn, self.exp_stat_sn)
        header[32:32 + len(cdb)] = cdb
        self.cmd_sn += 1
        self.outstanding[tag] = Outstanding(data_out, bytearray(), self.cmd_sn - 1)
        immediate = min(len(data_out), self.segment, self.first_burst) if self.immediate and at_once else 0
        self._send(header, data_out[:immediate])
        return tag

    def owe(self, cdb: bytes, data_out: bytes, attribute: int = SIMPLE) -> tuple[int, tuple]:
        """Sends a command without its data, and takes the R2T for them; its tag, and what pay() wants."""
        tag = self.submit(cdb, data_out, attribute=attribute, at_once=False)
        header, _ = self._receive()
        if header[0] & 0x3F != 0x31:
            raise ConnectionLost(f"not asked for data: opcode {header[0] & 0x3F:#04x}")
        return tag, (tag, *struct.unpack_from(">I", header, 20), *struct.unpack_from(">II", header, 40))

    def pay(self, debt: tuple) -> None:
        """Sends the data after all, also of a command that has ended."""
        tag, transfer_tag, offset, length = debt
        self.outstanding.setdefault(tag, Outstanding(bytes(offset + length), bytearray()))
        self._send_data(tag, transfer_tag, offset, length)

    def forget(self, tag: int) -> None:
        """No answer comes to it."""
        self.outstanding.pop(tag, None)

    def ping(self) -> None:
        """Waits until the target has taken all that was sent."""
        header = bytearray(48)
        header[0:2] = 0x40, 0x80
        struct.pack_into(">IIII", header, 16, 0x70000000, NO_TAG, self.cmd_sn, self.exp_stat_sn)
        self._send(header, b"")
        header, _ = self._receive()
        if header[0] & 0x3F != 0x20:
            raise ConnectionLost(f"no NOP-In, opcode {header[0] & 0x3F:#04x}")
        self.exp_stat_sn = struct.unpack_from(">I", header, 24)[0] + 1

    def answer(self) -> Answer:
        """The next command that ends."""
        if self.ended:
            return self.ended.pop(0)
        while True:
            answer = self._take_one()
            if isinstance(answer, Answer):
                return answer

    def manage(self, function: int, referenced: int = NO_TAG) -> int:
        """A task management function, waited for; its response."""
        tag, self.next_tag = self.next_tag, self.next_tag + 1
        header = bytearray(48)
        header[0:2] = 0x42, 0x80 | function
        struct.pack_into(">Q", header, 8, self.lun << 48)
        about = self.outstanding.get(referenced)
        struct.pack_into(">IIIII", header, 16, tag, referenced, self.cmd_sn, self.exp_stat_sn,
                         about.cmd_sn if about else 0)
        self._send(header, b"")
        while True:
            answer = self._take_one()
            if isinstance(answer, int):
                return answer
            if answer is not None:
                self.ended.append(answer)

    def _take_one(self) -> Answer | int | None:
        """Takes one PDU: a command's end, a task management response, or something on the way there."""
        while True:
            header, data = self._receive()
            code = header[0] & 0x3F
            tag, transfer_tag = struct.unpack_from(">II", header, 16)
            self.max_cmd_sn = struct.unpack_from(">I", header, 32)[0]
            if code == 0x20:
                self._answer_nop(header, transfer_tag)
            elif code == 0x31 and tag in self.outstanding:
                self._send_data(tag, transfer_tag, *struct.unpack_from(">II", header, 40))
            elif code == 0x25 and tag in self.outstanding:
                self.outstanding[tag].data_in += data
                if header[1] & 1:
                    return self._ended(tag, header, b"")
            elif code == 0x21 and tag in self.outstanding:
                return self._ended(tag, header, data)
            elif code == 0x22:
                self.exp_stat_sn = struct.unpack_from(">I", header, 24)[0] + 1
                return header[2]
            else:
                raise ConnectionLost(f"an unexpected PDU, opcode {code:#04x}")

    def execute(self, cdb: bytes, data_out: bytes = b"", data_in_length: int = 0) -> Answer:
        """One command, waited for; nothing else may be outstanding."""
        self.submit(cdb, data_out, data_in_length)
        return self.answer()

    @property
    def window_open(self) -> bool:
        return (self.max_cmd_sn - self.cmd_sn) % (1 << 32) < 1 << 31

    def _ended(self, tag: int, header: bytes, sense: bytes) -> Answer:
        self.exp_stat_sn = struct.unpack_from(">I", header, 24)[0] + 1
        return Answer(tag, header[3], bytes(self.outstanding.pop(tag).data_in), sense)

    def _send_data(self, tag: int, transfer_tag: int, offset: int, length: int) -> None:
        for number, begin in enumerate(range(offset, offset + length, self.segment)):
            end = min(begin + self.segment, offset + length)
            header = bytearray(48)
            header[0:2] = 0x05, 0x80 if end == offset + length else 0
            struct.pack_into(">QII", header, 8, self.lun << 48, tag, transfer_tag)
            struct.pack_into(">I", header, 28, self.exp_stat_sn)
            struct.pack_into(">II", header, 36, number, begin)
            self._send(header, self.outstanding[tag].data_out[begin:end])

    def _answer_nop(self, header: bytes, transfer_tag: int) -> None:
        if transfer_tag == NO_TAG:
            return
        reply = bytearray(48)
        reply[0:2] = 0x40, 0x80
        reply[8:16] = header[8:16]
        struct.pack_into(">IIII", reply, 16, NO_TAG, transfer_tag, self.cmd_sn, self.exp_stat_sn)
        self._send(reply, b"")

    def _send(self, header: bytearray, data: bytes) -> None:
        header[5:8] = len(data).to_bytes(3, "big")
        try:
            self.socket.sendall(bytes(header) + data + bytes(-len(data) % 4))
        except OSError as error:
            raise ConnectionLost(str(error)) from None

    def _receive(self) -> tuple[bytes, bytes]:
        """The next PDU that is no SCSI asynchronous event; those are kept."""
        while True:
            header = self._receive_octets(48)
            length = int.from_bytes(header[5:8], "big")
            data = self._receive_octets(length + -length % 4)[:length]
            if header[0] & 0x3F != 0x32 or header[36] != 0:
                return header, data
            self.exp_stat_sn = struct.unpack_from(">I", header, 24)[0] + 1
            self.events.append(struct.unpack_from(">H", data, 2 + 12)[0])

    def _receive_octets(self, count: int) -> bytes:
        parts = bytearray()
        while len(parts) < count:
            try:
                part = self.socket.recv(count - len(parts))
            except OSError as error:
                raise ConnectionLost(str(error)) from None
            if not part:
                raise ConnectionLost("the target closed the connection")
            parts += part
        return bytes(parts)

    def _log_in(self, target: str, name: str, number: int) -> None:
        keys = {"InitiatorName": name, "TargetName": target, "SessionType": "Normal", "HeaderDigest": "None",
                "DataDigest": "None", "InitialR2T": "Yes", "ImmediateData": "Yes", "MaxRecvDataSegmentLength": "262144",
                "MaxBurstLength": "262144", "FirstBurstLength": "65536", "MaxConnections": "1",
                "ErrorRecoveryLevel": "0", "DefaultTime2Wait": "0", "DefaultTime2Retain": "0"}
        answers: dict[str, str] = {}
        text = "".join(f"{key}={value}\0" for key, value in keys.items()).encode()
        for _ in range(8):
            header = bytearray(48)
            header[0:2] = 0x43, 0x87  # operational stage, on to full feature phase
            header[8] = 0x80
            struct.pack_into(">HH", header, 12, number, self.tsih)
            struct.pack_into(">II", header, 24, self.cmd_sn, self.exp_stat_sn)
            self._send(header, text)
            reply, data = self._receive()
            if reply[0] & 0x3F != 0x23 or reply[36]:
                raise ConnectionLost(f"login refused, status {reply[36]:02x}{reply[37]:02x}h")
            stat_sn, _, self.max_cmd_sn = struct.unpack_from(">III", reply, 24)
            self.exp_stat_sn = stat_sn + 1
            answers |= dict(pair.split("=", 1) for pair in data.decode().split("\0") if "=" in pair)
            if reply[1] & 0x83 == 0x83:
                self.tsih, = struct.unpack_from(">H", reply, 14)
                break
            text = b""
        else:
            raise ConnectionLost("the target does not leave the login phase")
        self.segment = int(answers.get("MaxRecvDataSegmentLength", "8192"))
        self.immediate = answers.get("ImmediateData", "Yes") == "Yes"
        self.first_burst = int(answers.get("FirstBurstLength", "65536"))


def read_16(lba: int, blocks: int) -> bytes:
    return struct.pack(">BBQIBB", 0x88, 0, lba, blocks, 0, 0)


def write_16(lba: int, blocks: int, fua: bool) -> bytes:
    return struct.pack(">BBQIBB", 0x8A, 0x08 if fua else 0, lba, blocks, 0, 0)


def synchronize_cache_16() -> bytes:
    return struct.pack(">BBQIBB", 0x91, 0, 0, 0, 0, 0)


def test_unit_ready() -> bytes:
    return bytes(6)


def read_capacity_16() -> bytes:
    return struct.pack(">BB8xIBB", 0x9E, 0x10, 32, 0, 0)


def inquiry(page: int) -> bytes:
    """Of a page of vital product data."""
    return struct.pack(">BBBHB", 0x12, 1, page, 0x1000, 0)


def persistent_reserve_in(action: int, length: int = 512) -> bytes:
    return struct.pack(">BB5xHB", 0x5E, action, length, 0)


def persistent_reserve_out(action: int, kind: int = 0) -> bytes:
    """`kind`: the reservation's type. To be sent with registration()."""
    return struct.pack(">BBB2xIB", 0x5F, action, kind, 24, 0)


def registration(key: int, new_key: int, aptpl: bool) -> bytes:
    """The parameter list of PERSISTENT RESERVE OUT [SPC-4 6.16.3]."""
    return struct.pack(">QQ4xB3x", key, new_key, 1 if aptpl else 0)
