/* The load of benchmarks/relay.py: phones and servers that send each other RTP, 20 ms of G.711 in each packet.
 *
 *	rtp_load PHONES_HOST SERVERS_HOST SESSIONS
 *
 * A session is a phone and its server, a UDP socket each; 50 packets per second go either way. Two sessions make a
 * conversation: a server sends the one phone what the other phone said 40 ms ago, the same payload in a packet of its
 * own, as a PBX does. Packets of all streams leave evenly spread over time.
 *
 * Writes the port of each phone and server, then obeys, from its standard input:
 *
 *	to			followed by a line for each session: where its phone sends to, where its server (host port host port)
 *	run SECONDS ramp|sleep|spin FILE
 *
 * `sleep` wakes up every TICK_NS at most, sends what is due, takes what has come, and sleeps again, so that its own CPU
 * time is what the packets cost and nobody has to wake it. `ramp` does so too, and one stream after the other begins,
 * as calls do. `spin` never sleeps, sends each packet when it is due and
 * writes each one-way latency to FILE (uint32, ns). After a run it takes what is still under way. It answers
 *
 *	sent, received within SECONDS, received in all, of these wrong, SECONDS as they were (ns)
 *
 * Wrong is a packet that is not the one expected there: another stream's, or changed.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PACKET_NS 20000000LL
#define TICK_NS 200000LL	/* shorter, and sleeping would be most of what a packet costs */
#define QUIET_NS 60000000LL	/* nothing for three packets' time: all that was under way has come */
#define PATIENCE_NS 4000000000LL
#define HEADER 12
#define WORDS 20
#define SIZE (HEADER + 8 * WORDS)
#define LAG 2			/* packets between what a phone says and what its server passes on */
#define REMEMBERED 256		/* send times of a stream's last packets; over 5 s */
#define READY 64
#define RAMP 0.6		/* by this share of SECONDS the last stream has begun */

struct party {
	int fd;
	struct sockaddr_in to;
	uint16_t sequence;
	uint32_t sent_at[REMEMBERED];	/* low 32 bits, ns */
};

static struct party *parties;	/* a session's phone, its server, the next session's phone, ... */
static int sessions, count, poll_fd;
static uint32_t *latencies;
static size_t kept, room;
static long received, wrong;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void sleep_until(int64_t at)
{
	struct timespec t = { at / 1000000000LL, at % 1000000000LL };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static struct party *opened(int index, const char *host)
{
	struct party *p = &parties[index];
	struct sockaddr_in here = { .sin_family = AF_INET };
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = index };
	socklen_t length = sizeof(here);

	if (inet_pton(AF_INET, host, &here.sin_addr) != 1)
		fail(host);
	p->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	if (p->fd < 0 || bind(p->fd, (struct sockaddr *)&here, sizeof(here)) < 0)
		fail("socket");
	getsockname(p->fd, (struct sockaddr *)&here, &length);
	if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, p->fd, &event) < 0)
		fail("epoll");
	printf("%d\n", ntohs(here.sin_port));
	return p;
}

/* The payload of a party's packet, as unlike the others as speech is: whose it is, and which 20 ms of it. */
static void speak(int index, uint16_t sequence, uint64_t *words)
{
	int session = index / 2, other = session ^ 1;
	uint64_t state;

	if (index % 2 == 0)
		state = (uint64_t)session << 16 | sequence;
	else if (other < sessions)
		state = (uint64_t)other << 16 | (uint16_t)(sequence - LAG);
	else
		state = 1ULL << 40 | sequence;	/* nobody is on the other line: an announcement */
	for (int i = 0; i < WORDS; i++) {
		uint64_t word = state += 0x9e3779b97f4a7c15ULL;	/* splitmix64 */

		word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9ULL;
		words[i] = word ^ word >> 27;
	}
}

static void send_one(int index, int64_t now)
{
	static uint8_t packet[SIZE] = { 0x80 };
	struct party *p = &parties[index];
	uint16_t sequence = ++p->sequence, be_sequence = htons(sequence);
	uint32_t timestamp = htonl((uint32_t)sequence * 160), ssrc = htonl(0x10000 + index);
	uint64_t words[WORDS];

	speak(index, sequence, words);
	memcpy(packet + 2, &be_sequence, 2);
	memcpy(packet + 4, &timestamp, 4);
	memcpy(packet + 8, &ssrc, 4);
	memcpy(packet + HEADER, words, sizeof(words));
	p->sent_at[sequence % REMEMBERED] = (uint32_t)now;
	sendto(p->fd, packet, SIZE, 0, (struct sockaddr *)&p->to, sizeof(p->to));
}

static void receive_one(int index, int timed)
{
	uint8_t packet[2048];
	ssize_t size = recv(parties[index].fd, packet, sizeof(packet), 0);
	struct party *sender = &parties[index ^ 1];
	uint32_t now = timed ? (uint32_t)now_ns() : 0;
	uint64_t words[WORDS];
	uint16_t sequence;

	if (size < 0)
		return;		/* an ICMP error, or nothing after all */
	received++;
	memcpy(&sequence, packet + 2, 2);
	sequence = ntohs(sequence);
	speak(index ^ 1, sequence, words);
	if (size != SIZE || memcmp(packet + HEADER, words, sizeof(words)))
		wrong++;
	else if (timed && kept < room)
		latencies[kept++] = now - sender->sent_at[sequence % REMEMBERED];
}

static int receive_all(int timed, int turns)
{
	struct epoll_event ready[READY];
	int found = 0, some;

	do {
		some = epoll_wait(poll_fd, ready, READY, 0);
		for (int i = 0; i < some; i++)
			receive_one(ready[i].data.u32, timed);
		found += some;
	} while (some == READY && --turns > 0);
	return found;
}

enum mode { RAMPING, SLEEPING, SPINNING };

static long load(double seconds, enum mode mode, long *in_time, int64_t *took)
{
	int64_t began = now_ns() + 1000000, end = began + (int64_t)(seconds * 1e9), now = began, quiet_since;
	double gap = (double)PACKET_NS / count;
	long sent = 0, turns = 0;
	int spin = mode == SPINNING;

	/* What is due is sent, however late it got: a run has as many packets as it should. */
	for (int64_t due = began; due < end; ) {
		while (due <= now && due < end) {
			/* Phones first, then servers: neighbours in time are strangers. */
			int turn = turns++ % count, index = turn < sessions ? 2 * turn : 2 * (turn - sessions) + 1;

			if (mode != RAMPING || index <= count * (now - began) / (RAMP * 1e9 * seconds)) {
				send_one(index, spin ? now_ns() : 0);
				sent++;
			}
			due = began + (int64_t)(turns * gap);
			if (spin)
				break;
		}
		receive_all(spin, spin ? 1 : 1000);
		if (!spin)
			sleep_until(due > now + TICK_NS ? due : now + TICK_NS);
		now = now_ns();
	}
	*in_time = received;
	*took = now - began;
	for (quiet_since = now; now < quiet_since + QUIET_NS && now < end + PATIENCE_NS; now = now_ns()) {
		if (receive_all(spin, 1000))
			quiet_since = now;
		if (!spin)
			sleep_until(now + 1000000);
	}
	return sent;
}

static void run(double seconds, enum mode mode, const char *path)
{
	int64_t took;
	long in_time, sent;

	kept = 0;
	received = wrong = 0;
	sent = load(seconds, mode, &in_time, &took);
	if (mode == SPINNING) {
		FILE *file = fopen(path, "wb");

		if (!file || fwrite(latencies, sizeof(*latencies), kept, file) != kept || fclose(file))
			fail(path);
	}
	printf("%ld %ld %ld %ld %lld\n", sent, in_time, received, wrong, (long long)took);
}

static void read_targets(void)
{
	for (int i = 0; i < count; i++) {
		char host[64];
		int port;

		if (scanf("%63s %d", host, &port) != 2)
			fail("where to");
		parties[i].to.sin_family = AF_INET;
		parties[i].to.sin_port = htons(port);
		if (inet_pton(AF_INET, host, &parties[i].to.sin_addr) != 1)
			fail(host);
	}
	puts("ok");
}

int main(int argc, char **argv)
{
	struct rlimit files;
	char word[16], mode[16], path[4096];
	double seconds;

	if (argc != 4)
		return 2;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	prctl(PR_SET_TIMERSLACK, 1);
	sessions = atoi(argv[3]);
	count = 2 * sessions;
	parties = calloc(count, sizeof(*parties));
	room = 1 << 22;
	latencies = malloc(room * sizeof(*latencies));
	poll_fd = epoll_create1(0);
	if (!parties || !latencies || poll_fd < 0)
		fail("start");
	memset(latencies, 0, room * sizeof(*latencies));	/* no page faults later */
	for (int i = 0; i < count; i++)
		opened(i, argv[1 + i % 2]);
	fflush(stdout);
	while (scanf("%15s", word) == 1) {
		if (!strcmp(word, "to"))
			read_targets();
		else if (!strcmp(word, "run") && scanf("%lf %15s %4095s", &seconds, mode, path) == 3)
			run(seconds, mode[0] == 'r' ? RAMPING : mode[1] == 'l' ? SLEEPING : SPINNING, path);
		fflush(stdout);
	}
	return 0;
}
