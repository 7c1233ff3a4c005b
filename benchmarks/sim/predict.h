/* A collective from start to end: by events where they are not too many, else by formula. */
#ifndef RONDE_SIM_PREDICT_H
#define RONDE_SIM_PREDICT_H

#include "model.h"
#include "shape.h"

enum method { METHOD_AUTO, METHOD_EVENTS, METHOD_FORMULA };

struct collective {
    enum algorithm algorithm;
    int nodes, lanes; /* lanes: ranks of a node */
    size_t bytes, element_bytes;
    size_t buffer_bytes; /* of a node, for the wire; what is larger goes in rounds */
};

/* AUTO simulates up to so many messages, about a second (where lanes share cards, three). */
enum { PREDICT_MESSAGES = 300000 };

/* NULL, or what is wrong: a static sentence. The time includes the node's stages. */
const char *predict(const struct model *model, const struct collective *collective,
                    enum method method, struct outcome *outcome);

/* A negotiation (docs/protocol.md): all nodes announce at time 0, `up_bytes` from each, and have
 * decided when the last leader has the `down_bytes` of the decision. */
const char *predict_negotiation(const struct model *model, int nodes, size_t up_bytes,
                                size_t down_bytes, enum method method, struct outcome *outcome);

#endif
