/* Preloaded: adjtimex(2) whose answer is what a file says, so that a test can take the server of time away. */
#include <stdio.h>
#include <stdlib.h>

int adjtimex(void *state) {
    FILE *file = fopen(getenv("ADJTIMEX"), "r");
    int answer = 0;
    (void)state;
    if (file) {
        if (fscanf(file, "%d", &answer) != 1)
            answer = 0;
        fclose(file);
    }
    return answer;
}
