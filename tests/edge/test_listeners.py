"""Listeners by themselves; under a reload: test_reload.py."""

from __future__ import annotations

from dataclasses import replace

import pytest

from haproxy_voip.configuration.model import Config, ProxyConfig, SipConfig, XmppConfig
from haproxy_voip.core.address import Endpoint, Transport
from haproxy_voip.edge.facts import Listening, NotListening
from haproxy_voip.edge.listeners import Certificates, Listeners
from haproxy_voip.edge.listening import CannotListen
from haproxy_voip.edge.tcp import Streams

NONE = Certificates(None, None)


def listening(*endpoints: Endpoint) -> Config:
    return Config(proxy=ProxyConfig(domain="voip.example", sip=SipConfig(listen=endpoints)), backends=())


def test_what_cannot_be_bound_leaves_the_others_as_they_were(run, heard, free_udp_port, free_tcp_port):
    udp, tcp = Endpoint(Transport.UDP, free_udp_port), Endpoint(Transport.TCP, free_tcp_port)

    async def scene():
        told, streams = heard(), Streams(heard(), heard())
        listeners, others = (Listeners(heard(), told, streams) for _ in range(2))
        await others.open(listening(udp), NONE)
        with pytest.raises(CannotListen):
            await listeners.open(listening(tcp, udp), NONE)
        assert listeners.endpoints == [] and listeners.udp == {}
        assert [type(fact) for fact in told] == [Listening, Listening, NotListening]
        others.stop()
        await streams.stop()

    run(scene)


def test_a_udp_listener_that_is_wanted_again_is_not_closed(run, heard, free_udp_port):
    udp = Endpoint(Transport.UDP, free_udp_port)

    async def scene():
        streams = Streams(heard(), heard())
        listeners = Listeners(heard(), heard(), streams)
        await listeners.open(listening(udp), NONE)
        await listeners.open(listening(), NONE)
        await listeners.settle(NONE)
        assert listeners.endpoints == [udp]  # until the node says that nobody talks over it
        assert await listeners.open(listening(udp), NONE) == []
        await listeners.leave(udp)
        assert listeners.endpoints == [udp]
        await listeners.open(listening(), NONE)
        await listeners.leave(udp)
        assert listeners.endpoints == [] and listeners.udp == {}
        await streams.stop()

    run(scene)


def test_a_listener_of_chat_that_shall_take_nobody_any_more_is_closed_though_it_is_wanted(run, heard, free_tcp_port):
    tcp = Endpoint(Transport.TCP, free_tcp_port)

    async def scene():
        streams = Streams(heard(), heard())
        listeners = Listeners(heard(), heard(), streams)
        config = listening()
        chat = replace(config.proxy, xmpp=XmppConfig(listen=(tcp,)))
        await listeners.open(replace(config, proxy=chat), NONE)
        await listeners.leave(tcp)
        assert listeners.endpoints == [tcp]
        for _ in range(2):
            await listeners.leave(tcp, chat=True)
        assert listeners.endpoints == []
        await streams.stop()

    run(scene)


def test_what_was_opened_in_vain_is_closed_and_the_rest_is_still_needed(run, heard, free_udp_port, free_tcp_port):
    udp, tcp = Endpoint(Transport.UDP, free_udp_port), Endpoint(Transport.TCP, free_tcp_port)

    async def scene():
        streams = Streams(heard(), heard())
        listeners = Listeners(heard(), heard(), streams)
        before = listening(udp)
        await listeners.open(before, NONE)
        opened = await listeners.open(replace(before, proxy=listening(tcp).proxy), NONE)
        await listeners.abandon(opened, before)
        await listeners.leave(udp)
        assert listeners.endpoints == [udp]
        listeners.stop()
        await streams.stop()

    run(scene)
