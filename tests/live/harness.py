"""rtcgw.js by itself, inside a browser, against a socket made of a few lines of JavaScript."""

from __future__ import annotations

from typing import Any

from tests.live.chromium import Page
from tests.live.pages import PageCase

HARNESS = """
window.lab = async (options = {}, welcome = {}) => {
  const { Rtcgw, RtcgwError, State, sentence } = await import('/rtcgw.js');
  class FakeSocket {
    static last = null;
    static reply = null;
    constructor(url, protocols) {
      Object.assign(this, { url, protocols, readyState: 0, sent: [], closedWith: null });
      FakeSocket.last = this;
      this.reply = FakeSocket.reply;
      setTimeout(() => { if (!this.closedWith) { this.readyState = 1; this.onopen?.(); } });
    }
    send(text) {
      const message = JSON.parse(text);
      this.sent.push(message);
      this.reply?.(message);
    }
    close(code, reason) { this.closedWith = [code, reason]; this.drop(code); }
    drop(code) { this.readyState = 3; this.onclose?.({ code, reason: '' }); }
    get(message) { this.onmessage({ data: typeof message === 'string' ? message : JSON.stringify(message) }); }
    of(type) { return this.sent.filter((message) => message.type === type); }
  }
  const gateway = new Rtcgw('ws://x/ws', { WebSocket: FakeSocket, timeout: 0.2, reconnect: false, ...options });
  const events = [];
  for (const type of ['incoming', 'closed', 'error', 'unknown']) {
    gateway.addEventListener(type, (event) => events.push([type, event.detail]));
  }
  await gateway.connect();
  const socket = FakeSocket.last;
  socket.reply = (message) => {
    if (message.type !== 'LOGIN') return;
    const reply = { type: 'OK', for: 'LOGIN', id: message.id, user: 'a', ping: 0, grace: 0, ...welcome };
    setTimeout(() => socket.get(reply));
  };
  await gateway.login({ user: 'a', password: 'a' });
  socket.reply = null;
  const until = async (look) => {
    for (let i = 0; i < 200 && !look(); i++) await new Promise((resolve) => setTimeout(resolve, 10));
    return look();
  };
  return { gateway, socket, events, until, Rtcgw, RtcgwError, State, sentence };
};

// What a gateway says by itself to whatever matters little, and to a LOGIN.
window.politely = (socket, login = {}) => (message) => {
  const { type, id, session } = message;
  const more = type === 'LOGIN' ? { user: 'a', ping: 0, grace: 5, ...login } : {};
  if (type !== 'OFFER') setTimeout(() => socket().get({ type: 'OK', for: type, id, session, ...more }));
};
// The other side: a peer connection that says a tone.
window.makeFar = () => {
  const peer = new RTCPeerConnection();
  const context = new AudioContext();
  const [oscillator, out] = [new OscillatorNode(context), context.createMediaStreamDestination()];
  oscillator.connect(out);
  oscillator.start();
  const [track] = out.stream.getAudioTracks();
  const whole = async () => {
    while (peer.iceGatheringState !== 'complete') await new Promise((resolve) => setTimeout(resolve, 10));
    return peer.localDescription.sdp;
  };
  const offer = async (change) => {
    change?.(peer);
    if (!peer.getSenders().length) peer.addTrack(track);
    await peer.setLocalDescription();
    return whole();
  };
  const answer = async (sdp) => {
    await peer.setRemoteDescription({ type: 'offer', sdp });
    if (!peer.getSenders()[0].track) await peer.getSenders()[0].replaceTrack(track);
    peer.getTransceivers()[0].direction = 'sendrecv';
    await peer.setLocalDescription();
    return whole();
  };
  const take = (sdp) => peer.setRemoteDescription({ type: 'answer', sdp });
  const arrived = async () =>
    [...(await peer.getStats()).values()].find(({ type }) => type === 'inbound-rtp')?.packetsReceived ?? 0;
  const silence = (silent) => peer.getSenders()[0].replaceTrack(silent ? null : track);
  return { peer, offer, answer, take, arrived, silence };
};
// A call to it, answered and connected.
window.talk = async ({ gateway, socket, until }, far) => {
  socket.reply = politely(() => socket);
  const call = gateway.call('sip:x@y');
  await until(() => socket.of('OFFER').length);
  const [{ id, sdp }] = socket.of('OFFER');
  socket.get({ type: 'WAITING', id, session: 's1', to: 'sip:x@y' });
  socket.get({ type: 'OK', for: 'OFFER', session: 's1', sdp: await far.answer(sdp), sdpType: 'answer' });
  await until(() => call.state === 'InCall' && call.peer.connectionState === 'connected');
  return call;
};
"""
"""JavaScript: `lab` makes a logged-in Rtcgw over a socket that the test holds in its hands."""

TWO = """
    // Two calls of one page: the second one is placed while the first one speaks.
    const two = async (options = {}, welcome = {}) => {
      const audio = new Audio();
      const laboratory = await lab({ audio, ...options }, { capabilities: ['dtmf'], ...welcome });
      const { gateway, socket, until } = laboratory;
      const first = await talk(laboratory, makeFar());
      const second = gateway.call('sip:z@y');
      await until(() => socket.of('OFFER').length === 2);
      const [, { id, sdp }] = socket.of('OFFER');
      socket.get({ type: 'WAITING', id, session: 's2', to: 'z' });
      socket.get({ type: 'OK', for: 'OFFER', session: 's2', sdp: await makeFar().answer(sdp), sdpType: 'answer' });
      await until(() => second.state === 'InCall');
      return { ...laboratory, first, second, audio };
    };
    const speaks = (call) => call.peer.getSenders().find(({ track }) => track?.kind === 'audio').track.enabled;
    const plays = (call) => call.remoteStream.getAudioTracks()[0].enabled;
    const holds = (socket) => socket.of('HOLD').map(({ session, on }) => [session, on]);
"""
"""JavaScript: `two()`; `speaks(call)` and `plays(call)` whether sound goes out and comes; `holds` what was asked."""


class JsCase(PageCase):
    """Runs JavaScript inside the page, beside the page's own."""

    async def run_js(self, body: str) -> Any:
        """Run the body of an async function that has the harness's parts at hand; what it returns."""
        page: Page = await self.open()
        await page.evaluate(HARNESS)
        return await page.evaluate(f"(async () => {{ {body} }})()")
