"""Just enough of DNS messages for the lab's scripts: questions, names, answers of a few types."""
import random, struct

A, CNAME, MX, TXT, AAAA, RRSIG, DNSKEY, HTTPS = 1, 5, 15, 16, 28, 46, 48, 65


def pack_name(name):
    return b"".join(bytes([len(label)]) + label.encode("latin-1") for label in name.split(".") if label) + b"\0"


def query(name, kind, pad_to=0):
    """A question; with `pad_to` it is padded to a multiple of that (RFC 7830, RFC 8467)."""
    head = struct.pack("!HHHHHH", random.randrange(65536), 0x0100, 1, 0, 0, int(bool(pad_to)))
    message = head + pack_name(name) + struct.pack("!HH", kind, 1)
    if pad_to:
        padding = -(len(message) + 15) % pad_to
        message += b"\0" + struct.pack("!HHIH", 41, 1232, 0, 4 + padding) + struct.pack("!HH", 12, padding) + bytes(padding)
    return message


def read_name(message, at):
    """The name at `at`, and where what follows it begins. Compressed names end a name."""
    labels = []
    while length := message[at]:
        if length >= 192:
            rest, _ = read_name(message, struct.unpack("!H", message[at : at + 2])[0] & 0x3FFF)
            return ".".join(labels + [rest]), at + 2
        labels.append(message[at + 1 : at + 1 + length].decode("latin-1"))
        at += 1 + length
    return ".".join(labels), at + 1


def question(message):
    name, end = read_name(message, 12)
    return name, struct.unpack("!H", message[end : end + 2])[0], message[12 : end + 4]


def reply(message, answers, failed=False):
    """`answers`: pairs of type and data, all for the name that was asked."""
    _, _, echo = question(message)
    text = message[:2] + struct.pack("!HHHHH", 0x8583 if failed else 0x8580, 1, len(answers), 0, 0) + echo
    for kind, data in answers:
        text += struct.pack("!HHHIH", 0xC00C, kind, 1, random.choice([5, 60, 300]), len(data)) + data
    return text


def text_data(text):
    return b"".join(bytes([len(text[at : at + 255])]) + text[at : at + 255] for at in range(0, len(text), 255)) or b"\0"


def first_answer(message):
    """Type and data of the first answer, or none."""
    if struct.unpack("!H", message[6:8])[0] == 0:
        return None
    _, end = read_name(message, 12)
    _, at = read_name(message, end + 4)
    kind, _, _, length = struct.unpack("!HHIH", message[at : at + 10])
    return kind, message[at + 10 : at + 10 + length]
