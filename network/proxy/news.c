#include "network/proxy/news.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define NEWS_MESSAGE_MAX 8192
#define NEWS_STACK (64 * 1024) /* bytes */
#define GENERATION_TYPE (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN)

struct FilterNews {
    void (*changed)(void *userdata);
    void *userdata;
    int netlink, end; /* end: an eventfd */
    _Atomic pid_t mine;
    pthread_t thread;
    bool running;
};

/* Who committed: NFTA_GEN_PROC_PID, a thread's id; 0: not said. */
static pid_t committer(const struct nlmsghdr *message) {
    const size_t head = NLMSG_LENGTH(sizeof(struct nfgenmsg));
    const char *bytes = (const char *)message;
    for (size_t at = NLMSG_ALIGN(head); at + NLA_HDRLEN <= message->nlmsg_len;) {
        struct nlattr attribute;
        uint32_t pid;
        memcpy(&attribute, bytes + at, sizeof attribute);
        if (attribute.nla_len < NLA_HDRLEN || attribute.nla_len > message->nlmsg_len - at)
            return 0;
        if ((attribute.nla_type & NLA_TYPE_MASK) == NFTA_GEN_PROC_PID && attribute.nla_len >= NLA_HDRLEN + sizeof pid) {
            memcpy(&pid, bytes + at + NLA_HDRLEN, sizeof pid);
            return (pid_t)ntohl(pid);
        }
        at += NLA_ALIGN((size_t)attribute.nla_len);
    }
    return 0;
}

/* Of one packet: did somebody else commit? */
static bool is_news(FilterNews *news, const char *packet, size_t n) {
    struct nlmsghdr message;
    if (n < sizeof message)
        return false;
    memcpy(&message, packet, sizeof message);
    return message.nlmsg_type == GENERATION_TYPE && message.nlmsg_len <= n &&
           committer((const struct nlmsghdr *)(const void *)packet) != atomic_load(&news->mine);
}

static void *run(void *userdata) {
    FilterNews *news = userdata;
    _Alignas(struct nlmsghdr) char packet[NEWS_MESSAGE_MAX];
    pthread_setname_np(pthread_self(), "filter-news");
    for (;;) {
        struct pollfd fds[] = {{.fd = news->netlink, .events = POLLIN}, {.fd = news->end, .events = POLLIN}};
        if (poll(fds, ELEMENTSOF(fds), -1) < 0)
            continue; /* EINTR */
        if (fds[1].revents)
            return NULL;
        ssize_t n = recv(news->netlink, packet, sizeof packet, MSG_DONTWAIT);
        if (n < 0 ? errno == ENOBUFS : is_news(news, packet, (size_t)n)) /* ENOBUFS: some was lost */
            news->changed(news->userdata);
    }
}

/* Other messages tell of each rule and element, and of ours there are many: the kernel drops them for us. */
static int subscribe(int fd) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)), /* as if in network order */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(GENERATION_TYPE), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, NEWS_MESSAGE_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    const struct sock_fprog filter = {ELEMENTSOF(code), code};
    struct sockaddr_nl address = {.nl_family = AF_NETLINK};
    int group = NFNLGRP_NFTABLES;
    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) < 0 ||
        bind(fd, (struct sockaddr *)(void *)&address, sizeof address) < 0 ||
        setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) < 0)
        return -errno;
    return 0;
}

int filter_news_start(void (*changed)(void *userdata), void *userdata, FilterNews **ret) {
    _cleanup_(filter_news_stopp) FilterNews *news = NEW0(FilterNews);
    pthread_attr_t attr;
    news->changed = changed;
    news->userdata = userdata;
    news->end = eventfd(0, EFD_CLOEXEC);
    news->netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
    if (news->end < 0 || news->netlink < 0)
        return -errno;
    int r = subscribe(news->netlink);
    if (r < 0)
        return r;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, NEWS_STACK);
    r = -pthread_create(&news->thread, &attr, run, news);
    pthread_attr_destroy(&attr);
    if (r < 0)
        return r;
    news->running = true;
    *ret = TAKE_PTR(news);
    return 0;
}

void filter_news_mine(FilterNews *news) {
    atomic_store(&news->mine, gettid());
}

void filter_news_stop(FilterNews *news) {
    if (!news)
        return;
    if (news->running) {
        (void)eventfd_write(news->end, 1);
        pthread_join(news->thread, NULL);
    }
    closep(&news->netlink);
    closep(&news->end);
    free(news);
}
