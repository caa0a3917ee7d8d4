/* Names beside points: see point_labels.h. */
#include "point_labels.h"

#include <math.h>
#include <string.h>

/* cm */
static const double char_width = 0.145, text_height = 0.28, point_radius = 0.09, leader_from = 0.2;
static const double distances[] = {0.13, 0.28, 0.45, 0.7, 1, 1.4};
/* Where the name stands seen from its point, best first. */
static const double directions[][2] = {{1, 0}, {1, 1},  {1, -1},  {-1, 0},   {-1, 1},   {-1, -1},
                                       {0, 1}, {0, -1}, {0.5, 1}, {-0.5, 1}, {0.5, -1}, {-0.5, -1}};
enum { N_DISTANCES = 6, N_DIRECTIONS = 12 };
/* A name over more points than these cannot be read. */
enum { MAX_COVERED = 3 };

static bool overlap(struct qk_box a, struct qk_box b)
{
    return a.left < b.right && b.left < a.right && a.bottom < b.top && b.bottom < a.top;
}

static struct qk_box around(double x, double y, double radius)
{
    return (struct qk_box){x - radius, y - radius, x + radius, y + radius};
}

struct segment {
    double x0, y0, x1, y1;
};

/* From a label's point to the nearest place on the box of its name. */
static struct segment leader(const struct qk_point_label *label, struct qk_box box)
{
    return (struct segment){label->x, label->y, fmin(fmax(label->x, box.left), box.right),
                            fmin(fmax(label->y, box.bottom), box.top)};
}

static bool has_leader(struct segment s)
{
    return hypot(s.x1 - s.x0, s.y1 - s.y0) > leader_from;
}

static bool passes(struct segment s, struct qk_box box)
{
    enum { STEPS = 16 };
    for (size_t k = 0; has_leader(s) && k <= STEPS; k++) {
        double x = s.x0 + (s.x1 - s.x0) * (double)k / STEPS, y = s.y0 + (s.y1 - s.y0) * (double)k / STEPS;
        if (x > box.left && x < box.right && y > box.bottom && y < box.top) {
            return true;
        }
    }
    return false;
}

static double side_of(struct segment s, double x, double y)
{
    return (s.x1 - s.x0) * (y - s.y0) - (s.y1 - s.y0) * (x - s.x0);
}

static bool cross(struct segment a, struct segment b)
{
    return has_leader(a) && has_leader(b) && side_of(a, b.x0, b.y0) * side_of(a, b.x1, b.y1) < 0 &&
           side_of(b, a.x0, a.y0) * side_of(b, a.x1, a.y1) < 0;
}

static struct qk_box candidate(const struct qk_point_label *label, size_t direction, double distance)
{
    double w = char_width * (double)strlen(label->text), h = text_height;
    double dx = directions[direction][0], dy = directions[direction][1];
    double scale = dx != 0 && dy != 0 ? 0.75 : 1;
    double x = label->x + dx * (distance * scale + w / 2), y = label->y + dy * (distance * scale + h / 2);
    return (struct qk_box){x - w / 2, y - h / 2, x + w / 2, y + h / 2};
}

/* Label i at box at, after those before it. */
static bool is_free(struct qk_box at, const struct qk_point_label *labels, size_t n, size_t i, struct qk_box box)
{
    struct segment own = leader(&labels[i], at);
    if (at.left < box.left || at.right > box.right || at.bottom < box.bottom || at.top > box.top) {
        return false;
    }
    for (size_t k = 0; k < n; k++) {
        const struct qk_point_label *other = &labels[k];
        struct qk_box point = around(other->x, other->y, point_radius);
        if (overlap(at, point) || (k != i && passes(own, point))) {
            return false;
        }
        if (k < i && other->placed) {
            struct segment line = leader(other, other->box);
            if (overlap(at, other->box) || passes(own, other->box) || passes(line, at) || cross(own, line)) {
                return false;
            }
        }
    }
    return true;
}

static size_t count_covered(struct qk_box at, const double *points, size_t n_points)
{
    size_t n = 0;
    for (size_t i = 0; i < n_points; i++) {
        n += overlap(at, around(points[2 * i], points[2 * i + 1], point_radius));
    }
    return n;
}

static double distance_to(struct qk_box at, double x, double y)
{
    return hypot(x - fmin(fmax(x, at.left), at.right), y - fmin(fmax(y, at.bottom), at.top));
}

/* True when another point is nearer to the name than its own. */
static bool misleads(struct qk_box at, const struct qk_point_label *label, const double *points, size_t n_points)
{
    double own = distance_to(at, label->x, label->y);
    for (size_t i = 0; i < n_points; i++) {
        if (distance_to(at, points[2 * i], points[2 * i + 1]) < own - 1e-9) {
            return true;
        }
    }
    return false;
}

void qk_point_labels_place(struct qk_point_label *labels, size_t n, const double *points, size_t n_points,
                           struct qk_box box)
{
    for (size_t i = 0; i < n; i++) {
        double least = INFINITY;
        labels[i].placed = false;
        for (size_t k = 0; k < N_DISTANCES * N_DIRECTIONS; k++) {
            struct qk_box at = candidate(&labels[i], k % N_DIRECTIONS, distances[k / N_DIRECTIONS]);
            if (!is_free(at, labels, n, i, box)) {
                continue;
            }
            /* a step farther away is as bad as covering a point; seeming the name of another is worse */
            size_t covered = count_covered(at, points, n_points);
            double cost = (double)covered + (double)(k / N_DIRECTIONS) + 3 * misleads(at, &labels[i], points, n_points);
            if (covered <= MAX_COVERED && cost < least) {
                least = cost;
                labels[i].placed = true;
                labels[i].box = at;
            }
        }
    }
}

void qk_point_labels_draw(struct qk_sheet *sheet, const struct qk_point_label *labels, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct qk_box box = labels[i].box;
        if (!labels[i].placed) {
            continue;
        }
        struct segment line = leader(&labels[i], box);
        if (has_leader(line)) {
            qk_sheet_rule(sheet, line.x0, line.y0, line.x1, line.y1, "linewidth 0.5 linecolor rgb '#999999'");
        }
        qk_sheet_text(sheet, (box.left + box.right) / 2, (box.bottom + box.top) / 2, "center", labels[i].text, NULL,
                      "front");
    }
}
