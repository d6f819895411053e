# A table to try `hebbian data add` with: 1000 trees of four kinds, ten measurements each in units of their own.
#
#     awk -f examples/own-data.awk > mine.csv
#
# Each kind has three groups, so that no line tells the kinds apart. Every awk writes the same file.
function uniform() {
    state = (state * 16807) % 2147483647
    return state / 2147483647
}

# About normal: the sum of twelve uniform numbers, which rounds alike everywhere.
function normal(    i, sum) {
    sum = -6
    for (i = 0; i < 12; i++) sum += uniform()
    return sum
}

BEGIN {
    state = 1
    count = split("oak beech birch pine", kinds, " ")
    features = 10
    groups = 3
    for (feature = 1; feature <= features; feature++) {
        unit[feature] = 10 ^ (feature % 4)
        zero[feature] = 20 * unit[feature] * uniform()
        for (group = 0; group < count * groups; group++) centre[group, feature] = 1.5 * normal()
        printf "m%d,", feature
    }
    print "kind"
    for (line = 0; line < 1000; line++) {
        group = int(count * groups * uniform())
        for (feature = 1; feature <= features; feature++)
            printf "%.4f,", zero[feature] + unit[feature] * (centre[group, feature] + normal())
        print kinds[group % count + 1]
    }
}
