/* The least that any sensor has to do: read a pcap file, find each packet's flow, follow RTP, count payload octets.
 *
 *     floor FILE        classic pcap, little endian, microseconds, Ethernet, at most one VLAN tag, IPv4
 *
 * One pass in C with no checks beyond those that keep it in its buffer: what `legwatch scan` is measured against.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CHUNK = 1 << 18, LONGEST = 1 << 17, BATCH = 32, SLOTS = 1 << 20, COUNTED = 32, OCTETS = 160, RTP = 12 };

struct flow {
    uint64_t hosts, first_us, last_us, octets;
    uint32_t ports, ssrc, packets, sequence, timestamp, gaps, repeated, payload_types;
    int32_t transit;
    float jitter;
    uint8_t *counts;
    uint64_t unused[6];
} __attribute__((aligned(64)));

struct packet {
    uint64_t hosts, time_us;
    uint32_t ports, hash, length;
    const uint8_t *payload;
};

static struct flow *flows;
static uint8_t *next_counts;
static uint64_t rtp;

static void *reserve(size_t octets) {
    void *base = mmap(NULL, octets, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) {
        perror("floor: mmap");
        exit(2);
    }
    madvise(base, octets, MADV_HUGEPAGE);
    return base;
}

static uint32_t be32(const uint8_t *p) {
    uint32_t value;
    memcpy(&value, p, sizeof value);
    return ntohl(value);
}

static int decode(const uint8_t *p, uint32_t n, uint64_t time_us, struct packet *out) {
    uint32_t at = n > 16 && p[12] == 0x81 && p[13] == 0 ? 18 : 14, header;
    if (n < at + 28 || p[at - 2] != 8 || p[at - 1] != 0 || p[at + 9] != 17)
        return 0;
    header = (p[at] & 15) * 4;
    if (n < at + header + 8)
        return 0;
    memcpy(&out->hosts, p + at + 12, 8);
    memcpy(&out->ports, p + at + header, 4);
    out->payload = p + at + header + 8;
    out->length = n - at - header - 8;
    out->time_us = time_us;
    out->hash = ((out->hosts ^ (uint64_t)out->ports << 16) * 0x9E3779B97F4A7C15ULL) >> 32;
    return 1;
}

static struct flow *find(const struct packet *packet) {
    for (uint32_t at = packet->hash;; at++) {
        struct flow *flow = &flows[at & (SLOTS - 1)];
        if (flow->hosts == packet->hosts && flow->ports == packet->ports)
            return flow;
        if (!flow->hosts) {
            flow->hosts = packet->hosts;
            flow->ports = packet->ports;
            flow->first_us = packet->time_us;
            return flow;
        }
    }
}

static void update(const struct packet *packet) {
    struct flow *flow = find(packet);
    const uint8_t *p = packet->payload;
    flow->last_us = packet->time_us;
    flow->octets += packet->length;
    flow->packets++;
    if (packet->length < RTP || p[0] >> 6 != 2)
        return;
    uint32_t timestamp = be32(p + 4), ssrc = be32(p + 8), sequence = p[2] << 8 | p[3];
    int32_t transit = (int32_t)(packet->time_us * 8 / 1000) - (int32_t)timestamp, difference = transit - flow->transit;
    uint16_t ahead = sequence - flow->sequence;
    rtp++;
    if (flow->ssrc == ssrc) {
        flow->repeated += ahead == 0;
        flow->gaps += ahead - 1;
        flow->jitter += ((difference < 0 ? -difference : difference) - flow->jitter) / 16;
    }
    flow->ssrc = ssrc;
    flow->sequence = sequence;
    flow->timestamp = timestamp;
    flow->transit = transit;
    flow->payload_types |= 1U << (p[1] & 31);
    if (flow->packets <= COUNTED) {
        if (!flow->counts) {
            flow->counts = next_counts;
            next_counts += 256;
        }
        for (uint32_t i = RTP; i < packet->length && i < RTP + OCTETS; i++)
            flow->counts[p[i]]++;
    }
}

int main(int count, char **words) {
    struct packet batch[BATCH];
    uint64_t packets = 0;
    uint8_t *buffer = malloc(CHUNK + LONGEST), *at, *end;
    ssize_t got;
    int file = count == 2 ? open(words[1], O_RDONLY) : -1, held = 0;
    if (file < 0 || !buffer || read(file, buffer, 24) != 24) {
        fprintf(stderr, "usage: floor FILE\n");
        return 2;
    }
    posix_fadvise(file, 0, 0, POSIX_FADV_SEQUENTIAL);
    flows = reserve(SLOTS * sizeof *flows);
    next_counts = reserve(SLOTS * 256);
    for (size_t left = 0; (got = read(file, buffer + left, CHUNK)) > 0; left = end - at, memmove(buffer, at, left)) {
        for (at = buffer, end = buffer + left + got;;) {
            uint32_t header[4];
            if (end - at >= 16) {
                memcpy(header, at, sizeof header);
                if (header[2] > LONGEST - 16)
                    return 2;
            }
            int whole = end - at >= 16 && (size_t)(end - at) >= 16 + (size_t)header[2];
            if (whole) {
                uint64_t time_us = header[0] * 1000000ULL + header[1];
                if (decode(at + 16, header[2], time_us, &batch[held])) {
                    __builtin_prefetch(&flows[batch[held].hash & (SLOTS - 1)], 1);
                    __builtin_prefetch((uint8_t *)&flows[batch[held].hash & (SLOTS - 1)] + 64, 1);
                    held++;
                }
                __builtin_prefetch(at + 2048);
                packets++;
                at += 16 + header[2];
            }
            if (held == BATCH || !whole) {
                for (int i = 0; i < held; i++)
                    update(&batch[i]);
                held = 0;
            }
            if (!whole)
                break;
        }
    }
    printf("%lu packets, %lu RTP\n", packets, rtp);
    return 0;
}
