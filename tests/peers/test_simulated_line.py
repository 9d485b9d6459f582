"""The MQTT of devices that are not there, against mosquitto and beside an independent subscriber."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest

from edge.kit.mqtt import Message
from edge.simulate import mqtt_packets as packets
from edge.simulate.mqtt_line import SimulatedLine
from tests.peers.broker import Mosquitto, broker  # noqa: F401  # a fixture
from tests.peers.listener import Listener

WILL = Message(topic="t/a/status", payload=b'{"state":"offline"}', retain=True)


class Guest:
    """One line, and what it heard."""

    def __init__(self, name: str, *filters: str) -> None:
        self.heard: list[Message] = []
        self.over: list[str] = []
        self.opened = asyncio.Event()
        self.line = SimulatedLine(
            packets.connect(name, keep_alive_s=30, session_expiry_s=60, will=WILL, will_delay_s=0),
            filters=filters,
            hear=self.heard.append,
            is_open=self.opened.set,
            is_over=self.over.append,
        )

    async def come(self, port: int) -> None:
        await asyncio.get_running_loop().create_connection(lambda: self.line, "127.0.0.1", port)
        await asyncio.wait_for(self.opened.wait(), 10)


async def become(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():
            await asyncio.sleep(0.01)


def test_what_is_sent_arrives_with_all_it_carries(broker: Mosquitto) -> None:  # noqa: F811
    async def talk() -> tuple[Guest, list[Message]]:
        speaker, hearer = Guest("speaker"), Guest("hearer", "t/+/ask", "t/none")
        await speaker.come(broker.port)
        await hearer.come(broker.port)
        for number in range(500):
            speaker.line.send(Message(topic="t/a/ask", payload=b"%d" % number, qos=number % 2))
        speaker.line.send(
            Message(
                topic="t/a/ask",
                payload=b"x" * 40_000,
                expiry_s=60,
                response_topic="t/a/reply",
                correlation_data=b"\0\xff",
                user_properties=(("schema", "edge.x/1"),),
            )
        )
        await become(lambda: len(hearer.heard) == 501)
        await become(lambda: speaker.line.unanswered == 0)
        speaker.line.ping()
        speaker.line.say_goodbye()
        await become(lambda: bool(speaker.over))
        hearer.line.hang_up()
        await become(lambda: bool(hearer.over))
        return speaker, hearer.heard

    with Listener(broker.port, "t/#") as listener:
        speaker, heard = asyncio.run(talk())
        last = listener.wait_for(501)[500]
    by_kind = [int(one.payload) for one in heard if one.qos == 1 and len(one.payload) < 9]
    assert by_kind == list(range(1, 500, 2))
    assert (heard[-1].response_topic, heard[-1].correlation_data) == ("t/a/reply", b"\0\xff")
    assert len(heard[-1].payload) == 40_000
    assert last.properties["ResponseTopic"] == "t/a/reply"
    assert last.user == {"schema": "edge.x/1"}
    assert last.properties["MessageExpiryInterval"] <= 60
    assert speaker.over == ["we stopped"]


def test_a_line_that_breaks_leaves_its_will_and_one_that_ends_in_order_does_not(
    broker: Mosquitto,  # noqa: F811
) -> None:
    async def break_and_leave() -> None:
        broken, orderly = Guest("broken"), Guest("orderly")
        await broken.come(broker.port)
        await orderly.come(broker.port)
        broken.line.hang_up()
        orderly.line.say_goodbye()
        await become(lambda: bool(broken.over and orderly.over))

    with Listener(broker.port, "t/#") as listener:
        asyncio.run(break_and_leave())
        asyncio.run(asyncio.sleep(0.3))
        assert [json.loads(one.payload) for one in listener.wait_for(1)] == [{"state": "offline"}]


@pytest.mark.parametrize("piece", [1, 2, 7, 1000])
def test_packets_are_read_however_the_bytes_come(piece: int) -> None:
    sent = Message(topic="a/ä", payload=b"z" * 300, user_properties=(("k", "v"),), expiry_s=9)
    stream = packets.publish(sent, 7) + packets.answer(9) + b"\xd0\x00" + packets.publish(sent, 8)
    reader = packets.Reader()
    found = [one for at in range(0, len(stream), piece) for one in reader.feed(stream[at : at + piece])]
    assert [type(one).__name__ for one in found] == ["Received", "Answered", "Received"]
    assert isinstance(found[0], packets.Received)
    assert (found[0].message.topic, found[0].message.payload) == (sent.topic, sent.payload)
    assert (found[0].number, found[0].message.expiry_s) == (7, 9)
