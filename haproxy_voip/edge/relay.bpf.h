/* What the media relay in the kernel (relay.bpf.c) has in common with userspace: its maps and what is in them.
 *
 * edge/kernel_flow.py knows `struct flow` byte by byte, edge/kernel_relay.py `struct settings` and `struct heard`. Its
 * version is LAYOUT in edge/kernel_flow.py, which grows with every change of a map; that of the rest is PROGRAM.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define MAX_FLOWS 32768		/* two for each stream of a relay */
#define PRINT_RING_BYTES (1 << 22)	/* 200 ms of 10,000 streams, twice */
#define PRINT_BYTES 64		/* rtp/fingerprint.py */
#define PASS_UP 0xff			/* of `payload_types`: userspace must decide */

enum { RENUMBER = 1, PRINTS = 2, TYPES = 4, MUX = 8, FOLLOWS = 16 };

/* IPv4 as IPv4-mapped IPv6; all in network byte order. */
struct endpoint {
	__be32 host[4];
	__be16 port;
	__u16 zero;
};

/* Numbers are in host byte order, times in nanoseconds of CLOCK_MONOTONIC. */
struct flow {
	struct bpf_spin_lock lock;	/* of what changes */
	__u32 flags;
	struct endpoint peer, out_local, out_peer;
	__u32 out_ifindex;
	__be32 next_hop[4];
	/* One's complement differences that the rewriting makes: hosts, and ports. */
	__u32 host_difference, port_difference;
	__u32 ssrc, out_ssrc;
	__u32 timestamp_offset, sequence_offset;
	__u32 mtu;
	__u32 clock_hz;
	__u32 slot;			/* of `arrivals` */
	__u32 side;
	__u64 stream;
	__u8 payload_types[128];
	/* What changes. */
	__u64 packets, bytes, sent, octets, unsent, dropped;
	__u64 last_arrival, sent_at, timed_at, newest_at;
	__u32 highest, newest, first;
	__s32 missing;
	__u32 timestamp, newest_timestamp;
	__s32 step;
	__u32 jitter;			/* RFC 3550 A.8: 16 times */
	__u32 out_timestamp, out_step;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_FLOWS);
	__type(key, struct endpoint);
	__type(value, struct flow);
} flows SEC(".maps");

/* The last arrival of each flow by its slot, to be read without a call into the kernel: silence is asked for often. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, MAX_FLOWS);
	__type(key, __u32);
	__type(value, __u64);
} arrivals SEC(".maps");

struct settings {
	__u32 layout, program;		/* written by who loads, read by its successor */
	__u64 sampling_key;
	__u64 missed;			/* payloads for which the ring had no room */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct settings);
} settings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, PRINT_RING_BYTES);
} prints SEC(".maps");

/* One record of `prints`. */
struct heard {
	__u64 stream, at;
	__u32 side;
	__u8 payload_type, size;
	__u16 zero;
	__u8 payload[PRINT_BYTES];
};
