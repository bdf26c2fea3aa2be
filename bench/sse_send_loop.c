/* The least that sends a stream: accepts readers, and sends each line of standard input to all of them as one chunk. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 65536, LONGEST = 65536, SOCKET_BUFFER = 65536 };

static const char head[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
static int readers[MOST];
static char line[LONGEST], frame[LONGEST + 64];

int main(void) {
    int count = 0, on = 1, size = SOCKET_BUFFER;
    int door = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof at;
    if (bind(door, (struct sockaddr *)&at, sizeof at) || listen(door, 4096)) return 1;
    getsockname(door, (struct sockaddr *)&at, &length);
    printf("%d\n", ntohs(at.sin_port));
    fflush(stdout);
    setvbuf(stdin, NULL, _IONBF, 0);
    struct pollfd waited[2] = {{.fd = door, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
    for (;;) {
        poll(waited, 2, -1);
        if (waited[0].revents && count < MOST) {
            int reader = accept(door, NULL, NULL);
            if (reader < 0) return 1;
            recv(reader, line, sizeof line, 0);
            setsockopt(reader, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            setsockopt(reader, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
            send(reader, head, sizeof head - 1, MSG_NOSIGNAL);
            readers[count++] = reader;
        }
        if (waited[1].revents) {
            ssize_t taken = read(0, line, sizeof line - 1);
            if (taken <= 0) return 0;
            line[taken - 1] = 0; /* the end of the line */
            int body = snprintf(NULL, 0, "event: event\ndata: %s\n\n", line);
            int whole = snprintf(frame, sizeof frame, "%x\r\nevent: event\ndata: %s\n\n\r\n", body, line);
            for (int each = 0; each < count; each++)
                send(readers[each], frame, whole, MSG_DONTWAIT | MSG_NOSIGNAL);
        }
    }
}
