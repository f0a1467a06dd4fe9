# Prints the changes of a bridge as they come: python3 reader.py HOST PORT NAME
import socket, sys
host, port, name = sys.argv[1:]
server = socket.create_connection((host, port)).makefile("rwb")

def redis(*words):  # a library's HGET and XREAD can stand for this
    words = [str(w).encode() for w in words]
    server.write(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
    server.flush()
    return answer()

def answer():
    line = server.readline().decode().rstrip()
    if line[:1] == "*":
        return [answer() for _ in range(int(line[1:]))]
    if line[:1] == "$" and line != "$-1":
        return server.read(int(line[1:]) + 2)[:-2].decode()
    sys.exit("there is no such bridge" if line == "$-1" else line or "the server ended the connection")

partitions = int(redis("HGET", f"walbridge:{{{name}}}:meta", "partitions"))
last = {f"walbridge:{{{name}:{p}}}:log:{lane}": "0" for p in range(partitions) for lane in ("urgent", "normal", "bulk")}
while True:
    for stream, entries in redis("XREAD", "COUNT", 100, "BLOCK", 0, "STREAMS", *last.keys(), *last.values()):
        for id, texts in entries:
            entry = dict(zip(texts[::2], texts[1::2]))
            print(entry["op"], entry["table"], entry.get("key"), entry.get("after"), flush=True)
            last[stream] = id
