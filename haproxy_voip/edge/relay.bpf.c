/* The media relay in the kernel: a TC (clsact) ingress classifier in direct action mode.
 *
 * A flow is a cache of what a leg in userspace (edge/media_leg.py) would do with the ordinary next packet: it comes to
 * our address from exactly the peer, its SSRC is known, its sequence number a small step ahead or slightly late. Such a
 * packet is counted, rewritten and sent. What comes to a flow from a third address is dropped and counted. All else is
 * passed up untouched, with TC_ACT_UNSPEC, so that other filters see it too.
 *
 * Userspace puts flows here and takes them away; what both know is in relay.bpf.h.
 * Helpers as of Linux 5.16 at the latest; nothing depends on how the kernel at hand was built.
 */
#include <stdbool.h>
#include <stddef.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "relay.bpf.h"

#define LOOPBACK 1		/* ifindex, in every network namespace */
#define FAMILY_INET 2
#define FAMILY_INET6 10
#define FRAGMENT 0x3fff		/* IPv4: more fragments, or an offset */
#define MAX_DATAGRAM 8192	/* edge/media_leg.py */
#define NANOSECONDS 1000000000ULL

/* RFC 3550 A.1, rtp/sequence.py */
#define SEQUENCES 65536
#define MAX_DROPOUT 3000
#define MAX_MISORDER 100

#define RTP_BYTES 12

/* rtp/fingerprint.py */
#define MIN_PAYLOAD_BYTES 16
#define SAMPLED_BELOW (1ULL << 61)
#define SIGNS 0x8080808080808080ULL

struct rtp {
	__u8 first, second;
	__be16 sequence;
	__be32 timestamp, ssrc;
};

/* A UDP datagram that may be ours. */
struct datagram {
	struct endpoint from, to;
	__u32 udp;			/* where its header is */
	__u32 size;			/* of what follows that header */
	__u8 hops;			/* it may still go */
};

static __always_inline void map_ipv4(struct endpoint *endpoint, __be32 host)
{
	endpoint->host[0] = 0;
	endpoint->host[1] = 0;
	endpoint->host[2] = bpf_htonl(0xffff);
	endpoint->host[3] = host;
}

static __always_inline bool same(const struct endpoint *one, const struct endpoint *other)
{
	return one->host[3] == other->host[3] && one->port == other->port && one->host[2] == other->host[2] &&
	       one->host[1] == other->host[1] && one->host[0] == other->host[0];
}

/* Whether the first `size` bytes can be read and written directly. */
static __always_inline bool reach(struct __sk_buff *skb, __u32 size)
{
	return (void *)(long)skb->data + size <= (void *)(long)skb->data_end || !bpf_skb_pull_data(skb, size);
}

/* Whether there is a whole UDP datagram without anything unusual around it. */
static __always_inline bool read_datagram(struct __sk_buff *skb, struct datagram *datagram)
{
	void *data, *end;
	struct ethhdr *eth;
	struct udphdr *udp;
	__u32 room;

	if (!reach(skb, sizeof(*eth) + sizeof(struct iphdr) + sizeof(*udp)))
		return false;
	data = (void *)(long)skb->data;
	end = (void *)(long)skb->data_end;
	eth = data;
	if (data + sizeof(*eth) + sizeof(struct iphdr) + sizeof(*udp) > end)
		return false;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = (void *)(eth + 1);

		if (ip->version != 4 || ip->ihl != 5 || ip->protocol != IPPROTO_UDP ||
		    ip->frag_off & bpf_htons(FRAGMENT))
			return false;
		map_ipv4(&datagram->from, ip->saddr);
		map_ipv4(&datagram->to, ip->daddr);
		datagram->udp = sizeof(*eth) + sizeof(*ip);
		datagram->hops = ip->ttl;
		room = bpf_ntohs(ip->tot_len) - sizeof(*ip);
		udp = (void *)(ip + 1);
	} else if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip;

		if (!reach(skb, sizeof(*eth) + sizeof(*ip) + sizeof(*udp)))
			return false;
		data = (void *)(long)skb->data;
		end = (void *)(long)skb->data_end;
		ip = data + sizeof(*eth);
		if ((void *)(ip + 1) + sizeof(*udp) > end || ip->version != 6 || ip->nexthdr != IPPROTO_UDP)
			return false;
		__builtin_memcpy(datagram->from.host, &ip->saddr, 16);
		__builtin_memcpy(datagram->to.host, &ip->daddr, 16);
		datagram->udp = sizeof(*eth) + sizeof(*ip);
		datagram->hops = ip->hop_limit;
		room = bpf_ntohs(ip->payload_len);
		udp = (void *)(ip + 1);
		if (!udp->check)
			return false;	/* RFC 8200 section 8.1: not allowed */
	} else {
		return false;
	}
	datagram->from.port = udp->source;
	datagram->to.port = udp->dest;
	datagram->size = bpf_ntohs(udp->len) - sizeof(*udp);
	/* The header's word against the other one and against what has come; a frame may be padded. */
	return bpf_ntohs(udp->len) == room && bpf_ntohs(udp->len) >= sizeof(*udp) &&
	       datagram->udp + room <= skb->len;
}

static __always_inline bool read_rtp(struct __sk_buff *skb, __u32 at, struct rtp *rtp)
{
	return !bpf_skb_load_bytes(skb, at, rtp, sizeof(*rtp)) && rtp->first >> 6 == 2;
}

static __always_inline bool may_be_rtcp(const struct rtp *rtp)
{
	return rtp->second >= 192 && rtp->second <= 223;	/* RFC 5761 section 4 */
}

/* RFC 3550 A.8; of packets of one timestamp only the first is timed. */
static __always_inline void time(struct flow *flow, __u32 timestamp, __u64 now)
{
	/* 39 hours of 131 kHz before this overflows, and then one packet looks late. */
	__u64 elapsed = ((now - flow->timed_at) * flow->clock_hz + NANOSECONDS / 2) / NANOSECONDS;
	__s32 step = timestamp - flow->timestamp, late = (__u32)elapsed - (__u32)step;

	if (late < 0)
		late = -late;
	flow->jitter += late - ((flow->jitter + 8) >> 4);
	flow->step = step;
	flow->timestamp = timestamp;
	flow->timed_at = now;
}

enum verdict { UP, SEND, LATE };

/* Count a packet of `size` bytes as rtp/sequence.py and rtp/continuity.py do; UP: it was not counted. */
static __always_inline enum verdict count(struct flow *flow, __u16 sequence, __u32 timestamp, __u32 size, __u64 now)
{
	__u16 step = sequence - flow->highest, out_step = sequence - flow->newest;
	bool renumber = flow->flags & RENUMBER;

	if (step >= MAX_DROPOUT && step <= SEQUENCES - MAX_MISORDER)
		return UP;
	if (renumber && out_step >= MAX_DROPOUT && out_step <= SEQUENCES - MAX_MISORDER)
		return UP;
	if (flow->flags & FOLLOWS) {
		if (step != 1)
			return UP;	/* one before it may still wait in the socket */
		flow->flags &= ~FOLLOWS;
	}
	flow->packets++;
	flow->bytes += size;
	flow->last_arrival = now;
	if (timestamp != flow->timestamp)
		time(flow, timestamp, now);
	if (step == 0 || step >= MAX_DROPOUT) {
		flow->missing--;
	} else {
		flow->highest += step;
		flow->missing += step - 1;
		flow->newest_timestamp = timestamp;
		flow->newest_at = flow->timed_at;
	}
	if (!renumber)
		return SEND;
	if (out_step < MAX_DROPOUT) {
		timestamp += flow->timestamp_offset;
		flow->newest += out_step;
		flow->sent_at = now;
		if (timestamp != flow->out_timestamp) {
			flow->out_step = timestamp - flow->out_timestamp;
			flow->out_timestamp = timestamp;
		}
	} else if (flow->newest + out_step - SEQUENCES < flow->first) {
		flow->unsent++;
		return LATE;
	}
	flow->sent++;
	flow->octets += size - RTP_BYTES;
	return SEND;
}

/* Where the payload is, rtp/joint.py `payload_bounds`: `begin` counts from the RTP header. Returns its size. */
static __always_inline __u32 find_payload(struct __sk_buff *skb, __u32 at, __u32 size, __u8 first, __u32 *begin)
{
	__u32 end = size;
	__be16 words;
	__u8 padding;

	*begin = RTP_BYTES + 4 * (first & 0x0f);
	if (first & 0x10) {
		if (bpf_skb_load_bytes(skb, at + *begin + 2, &words, 2))
			return 0;
		*begin += 4 + 4 * bpf_ntohs(words);
	}
	if (first & 0x20) {
		if (bpf_skb_load_bytes(skb, at + size - 1, &padding, 1))
			return 0;
		end -= padding;
	}
	return *begin <= end && end <= size ? end - *begin : 0;
}

static __always_inline bool sampled(const __u64 *words, __u64 key)
{
	__u64 signs = 0;

#pragma unroll
	for (int i = 0; i < PRINT_BYTES / 8; i++)
		signs |= (words[i] & SIGNS) >> i;
	return (signs ^ key) * key < SAMPLED_BELOW;
}

/* Tell of the payload, if it is one that is looked at. */
static __always_inline void print(struct __sk_buff *skb, const struct flow *flow, __u32 at, __u32 size,
				  const struct rtp *rtp, __u64 now)
{
	__u64 words[PRINT_BYTES / 8] = {};
	struct settings *known;
	struct heard *heard;
	__u32 begin, zero = 0;
	__u64 length;

	length = find_payload(skb, at, size, rtp->first, &begin);
	if (length < MIN_PAYLOAD_BYTES)
		return;
	if (length > PRINT_BYTES)
		length = PRINT_BYTES;
	asm volatile("" : "+r"(length));	/* or the compiler forgets what it has proven */
	if (length < 1 || length > PRINT_BYTES || bpf_skb_load_bytes(skb, at + begin, words, length))
		return;
	known = bpf_map_lookup_elem(&settings, &zero);
	if (!known || !sampled(words, known->sampling_key))
		return;
	heard = bpf_ringbuf_reserve(&prints, sizeof(*heard), 0);
	if (!heard) {
		__sync_fetch_and_add(&known->missed, 1);
		return;
	}
	heard->stream = flow->stream;
	heard->at = now;
	heard->side = flow->side;
	heard->payload_type = rtp->second & 0x7f;
	heard->size = length;
	heard->zero = 0;
	__builtin_memcpy(heard->payload, words, PRINT_BYTES);
	bpf_ringbuf_submit(heard, BPF_RB_NO_WAKEUP);
}

/* What a change of these 12 bytes adds to a checksum. */
static __always_inline __u32 difference(const struct rtp *before, const struct rtp *after)
{
	const __u32 *old = (const void *)before, *new = (const void *)after;
	__u64 sum = (__u64)new[0] + new[1] + new[2] + (__u32)~old[0] + (__u32)~old[1] + (__u32)~old[2];

	sum = (sum & 0xffffffff) + (sum >> 32);
	return (sum & 0xffffffff) + (sum >> 32);
}

static __always_inline __u16 fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

/* Write the new addresses, ports and RTP header. `hop`: it goes through us to another machine, or round once more. */
static __always_inline bool rewrite(struct __sk_buff *skb, const struct flow *flow, const struct datagram *datagram,
				    const struct rtp *before, const struct rtp *after, bool hop)
{
	bool ipv6 = datagram->udp != sizeof(struct ethhdr) + sizeof(struct iphdr);
	__u32 check = datagram->udp + offsetof(struct udphdr, check);
	__u32 change = flow->port_difference;
	void *data, *end;
	struct udphdr *udp;
	struct rtp *rtp;

	if (flow->flags & (RENUMBER | TYPES)) {
		__u64 sum = (__u64)change + difference(before, after);

		change = (sum & 0xffffffff) + (sum >> 32);
	}
	/* In two parts: where a device is to finish the checksum, only the pseudo header is in it yet. */
	if (bpf_l4_csum_replace(skb, check, 0, flow->host_difference, BPF_F_PSEUDO_HDR | BPF_F_MARK_MANGLED_0) ||
	    bpf_l4_csum_replace(skb, check, 0, change, BPF_F_MARK_MANGLED_0))
		return false;
	/* Where a device has summed up the whole packet, that was for IPv4, whose header has a checksum of its own. */
	if (ipv6)
		bpf_csum_update(skb, flow->host_difference);
	if (!reach(skb, datagram->udp + sizeof(*udp) + RTP_BYTES))
		return false;
	data = (void *)(long)skb->data;
	end = (void *)(long)skb->data_end;
	if (ipv6) {
		struct ipv6hdr *ip = data + sizeof(struct ethhdr);

		udp = (void *)(ip + 1);
		rtp = (void *)(udp + 1);
		if ((void *)(rtp + 1) > end)
			return false;
		__builtin_memcpy(&ip->saddr, flow->out_local.host, 16);
		__builtin_memcpy(&ip->daddr, flow->out_peer.host, 16);
		ip->hop_limit -= hop;
	} else {
		struct iphdr *ip = data + sizeof(struct ethhdr);
		__u32 sum;

		udp = (void *)(ip + 1);
		rtp = (void *)(udp + 1);
		if ((void *)(rtp + 1) > end)
			return false;
		ip->saddr = flow->out_local.host[3];
		ip->daddr = flow->out_peer.host[3];
		ip->ttl -= hop;
		sum = (__u16)~ip->check + fold(flow->host_difference);
		if (hop)
			sum += (__u16)~bpf_htons(0x0100);
		ip->check = ~fold(sum);
	}
	udp->source = flow->out_local.port;
	udp->dest = flow->out_peer.port;
	if (flow->flags & (RENUMBER | TYPES))
		*rtp = *after;
	return true;
}

/* Out of the interface that leads to the receiver. */
static __always_inline int send(const struct flow *flow, bool ipv6)
{
	struct bpf_redir_neigh next = {};

	if (flow->out_ifindex == LOOPBACK)	/* from another machine: it needs a route, and to look as if it came from here */
		return bpf_redirect_neigh(LOOPBACK, 0, 0, 0);
	next.nh_family = ipv6 ? FAMILY_INET6 : FAMILY_INET;
	if (ipv6)
		__builtin_memcpy(next.ipv6_nh, flow->next_hop, 16);
	else
		next.ipv4_nh = flow->next_hop[3];
	return bpf_redirect_neigh(flow->out_ifindex, &next, sizeof(next), 0);
}

SEC("tc")
int relay(struct __sk_buff *skb)
{
	struct datagram datagram = {};
	struct rtp before, after;
	struct flow *flow;
	enum verdict verdict;
	bool on_loopback, round, hop;
	__u32 slot, at;
	__u64 now, *arrival;

	if (skb->pkt_type != PACKET_HOST || skb->vlan_present || skb->gso_size || !read_datagram(skb, &datagram))
		return TC_ACT_UNSPEC;
	flow = bpf_map_lookup_elem(&flows, &datagram.to);
	if (!flow)
		return TC_ACT_UNSPEC;
	if (!same(&datagram.from, &flow->peer)) {
		__sync_fetch_and_add(&flow->dropped, 1);
		return TC_ACT_SHOT;
	}
	at = datagram.udp + sizeof(struct udphdr);
	if (datagram.size < RTP_BYTES || datagram.size > MAX_DATAGRAM || skb->len - sizeof(struct ethhdr) > flow->mtu ||
	    !read_rtp(skb, at, &before))
		return TC_ACT_UNSPEC;
	if (bpf_ntohl(before.ssrc) != flow->ssrc || (flow->flags & MUX && may_be_rtcp(&before)))
		return TC_ACT_UNSPEC;
	after = before;
	if (flow->flags & TYPES) {
		__u8 becomes = flow->payload_types[before.second & 0x7f];

		if (becomes == PASS_UP)
			return TC_ACT_UNSPEC;
		after.second = (before.second & 0x80) | (becomes & 0x7f);
	}
	/* On loopback the packet has its route. If it comes to another flow of ours, it goes round once more. */
	on_loopback = skb->ifindex == LOOPBACK && flow->out_ifindex == LOOPBACK;
	round = on_loopback && bpf_map_lookup_elem(&flows, &flow->out_peer);
	hop = round || flow->out_ifindex != LOOPBACK;
	if (hop && datagram.hops < 2)
		return TC_ACT_UNSPEC;	/* it may be going round in circles; userspace is in no hurry */

	now = bpf_ktime_get_ns();
	bpf_spin_lock(&flow->lock);
	verdict = count(flow, bpf_ntohs(before.sequence), bpf_ntohl(before.timestamp), datagram.size, now);
	bpf_spin_unlock(&flow->lock);
	if (verdict == UP)
		return TC_ACT_UNSPEC;
	slot = flow->slot;
	arrival = bpf_map_lookup_elem(&arrivals, &slot);
	if (arrival)
		*arrival = now;
	if (flow->flags & PRINTS)
		print(skb, flow, at, datagram.size, &before, now);
	if (verdict == LATE)
		return TC_ACT_SHOT;
	if (flow->flags & RENUMBER) {
		after.sequence = bpf_htons(bpf_ntohs(before.sequence) + flow->sequence_offset);
		after.timestamp = bpf_htonl(bpf_ntohl(before.timestamp) + flow->timestamp_offset);
		after.ssrc = bpf_htonl(flow->out_ssrc);
	}
	if (!rewrite(skb, flow, &datagram, &before, &after, hop))
		return TC_ACT_SHOT;
	if (round)
		return bpf_redirect(LOOPBACK, 0);
	return on_loopback ? TC_ACT_UNSPEC : send(flow, datagram.udp != sizeof(struct ethhdr) + sizeof(struct iphdr));
}

char LICENSE[] SEC("license") = "GPL";
