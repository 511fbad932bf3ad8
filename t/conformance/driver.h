
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef DRIVER_H_INCLUDED
#define DRIVER_H_INCLUDED


#include <tee.h>
#include <tee_arena.h>
#include <tee_json.h>
#include <tee_write.h>


/* What went wrong with the question, as opposed to what it is about. */

#define DRIVER_BAD  ((tee_rc_t) -100)


typedef struct {
    const tee_json_t     *in;                  /* the question */
    tee_write_t          *out;                 /* members of the answer */
    tee_arena_t          *arena;               /* until it is written */
    unsigned              keep:1;              /* "out" even on failure */
} driver_t;

/* TEE_OK, DRIVER_BAD, or what the question is answered with. */

typedef tee_rc_t (*driver_pt)(driver_t *d);

typedef struct {
    const char           *name;                /* NULL: the end of a table */
    driver_pt             handler;
} driver_op_t;


extern const driver_op_t  driver_registry_ops[];
extern const driver_op_t  driver_hpke_ops[];
extern const driver_op_t  driver_ohttp_ops[];
extern const driver_op_t  driver_bhttp_ops[];
extern const driver_op_t  driver_signed_ops[];

extern const tee_alloc_t  driver_alloc;


/* Members of the question: TEE_OK or DRIVER_BAD. */

tee_rc_t driver_hex(driver_t *d, const char *name, tee_str_t *bytes);
tee_rc_t driver_hex32(driver_t *d, const char *name, tee_str_t *bytes);
tee_rc_t driver_hex_text(driver_t *d, const tee_json_t *v, tee_str_t *bytes);
tee_rc_t driver_u16(driver_t *d, const char *name, uint16_t *n);

/* The first element; NULL if there is none, or no such member. */

tee_rc_t driver_array(const tee_json_t *in, const char *name,
    const tee_json_t **first);

/*
 * The pieces of "splits", if there are any, and then what is left; TEE_OK or
 * DRIVER_BAD.  Call driver_piece() until there are no splits and no input.
 */

tee_rc_t driver_splits(driver_t *d, const tee_json_t **split);
tee_rc_t driver_piece(const tee_json_t **split, tee_str_t *in,
    tee_str_t *piece);

/* Members of the answer. */

void driver_name(driver_t *d, const char *name);
void driver_put_hex(driver_t *d, const char *name, const void *p, size_t len);
void driver_put_text(driver_t *d, const char *name, tee_str_t text);
void driver_put_uint(driver_t *d, const char *name, uint64_t n);

/* The beginning of an object in a list. */

void driver_open(driver_t *d, unsigned first);


#endif /* DRIVER_H_INCLUDED */
