/* task NAME SECONDS: `work.task`, for tools that run commands. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double now(clockid_t clock) {
    struct timespec at;
    clock_gettime(clock, &at);
    return at.tv_sec + at.tv_nsec / 1e9;
}

int main(int count, char **words) {
    double began = now(CLOCK_MONOTONIC), end = now(CLOCK_PROCESS_CPUTIME_ID) + atof(words[2]);
    char text[4096];
    while (now(CLOCK_PROCESS_CPUTIME_ID) < end) {}
    snprintf(text, sizeof text, "%s/%s", getenv("BENCH_OUT"), words[1]);
    close(open(text, O_WRONLY | O_CREAT | O_TRUNC, 0644));
    snprintf(text, sizeof text, "%s %.6f %.6f\n", words[1], began, now(CLOCK_MONOTONIC));
    int log = open(getenv("BENCH_LOG"), O_WRONLY | O_APPEND | O_CREAT, 0600);
    return write(log, text, strlen(text)) < 0;
}
