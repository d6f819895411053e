/* The energy of a cluster of atoms (Lennard-Jones), as a program for `hebbian worker --exec` and `hebbian run --exec`: requests come as lines
   of JSON on standard input, and each is answered with a line. Nothing but the C library is needed.

       cc -O2 -o lennard_jones examples/lennard_jones.c
       hebbian run examples/lennard-jones.toml --exec ./lennard_jones --workers 2

   Seven atoms have their least energy, -16.505384, as a pentagonal bipyramid. Seen on two busy cores: 4 s for 9,380 evaluations, and -16.50536. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ATOMS_MAX = 64 };
/* Atoms that are closer than this are not allowed: the energy says nothing useful there. */
static const double CLOSEST = 0.7;

/* The text after `"name":`, or NULL. */
static const char *after(const char *line, const char *name) {
    char key[64];
    snprintf(key, sizeof key, "\"%s\":", name);
    const char *found = strstr(line, key);
    return found == NULL ? NULL : found + strlen(key);
}

/* Reads the numbers of a list; how many there are. */
static int numbers(const char *text, double *into, int most) {
    int count = 0;
    text += strcspn(text, "[");
    while (*text != '\0' && *text != ']' && count < most) {
        char *end;
        const double number = strtod(text + 1, &end);
        if (end == text + 1) return -1;
        into[count++] = number;
        text = end;
    }
    return *text == ']' ? count : -1;
}

int main(void) {
    char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, stdin) > 0) {
        double x[3 * ATOMS_MAX];
        const char *id = after(line, "id"), *list = after(line, "positions");
        const int count = list == NULL ? -1 : numbers(list, x, 3 * ATOMS_MAX);
        if (id == NULL || count < 6 || count % 3 != 0) {
            fprintf(stderr, "this is no request: %s", line);
            return 1;
        }
        double energy = 0.0, too_close = 0.0;
        for (int a = 0; a < count; a += 3) {
            for (int b = 0; b < a; b += 3) {
                double squared = 0.0;
                for (int k = 0; k < 3; ++k) squared += (x[a + k] - x[b + k]) * (x[a + k] - x[b + k]);
                if (squared < CLOSEST * CLOSEST) too_close += CLOSEST * CLOSEST - squared;
                const double sixth = 1.0 / (squared * squared * squared);
                energy += 4.0 * (sixth * sixth - sixth);
            }
        }
        if (too_close > 0.0)
            printf("{\"id\":%lld,\"infeasible\":%.17g}\n", atoll(id), too_close);
        else
            printf("{\"id\":%lld,\"value\":%.17g}\n", atoll(id), energy);
        fflush(stdout);
    }
    return 0;
}
