"""RTP and RTCP without sockets: headers, counts, quality, port pairs, and who may send where (RFC 3550, RFC 7362)."""
