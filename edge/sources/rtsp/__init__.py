"""An RTSP and RTP client of our own: a picture leaves it with its last packet, not with the next picture.

    wire.py      bytes of the control connection → answers, requests, interleaved packets
    auth.py      Basic and Digest
    sdp.py       what a session description says about its video
    exchange.py  questions and answers over one connection, each with a deadline
    setup.py     address → a session that plays: redirects, tracks, transports
    session.py   a session that plays: packets, keep-alive, receiver reports
    rtp.py       packets in order, with their gaps;  rtcp.py: reports
    h264.py h265.py jpeg.py   packets → access units

RFC 2326 (RTSP), 3550 (RTP), 4566 (SDP), 6184 (H.264), 7798 (H.265), 2435 (JPEG), 7616 (Digest).
"""
