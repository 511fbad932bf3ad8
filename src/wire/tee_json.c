
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <setjmp.h>
#include <string.h>

#include <yajl/yajl_parse.h>

#include <tee_json.h>
#include <tee_json_text.h>
#include <tee_text.h>


/*
 * yajl does not look at what its malloc function answers, so ours does not
 * return without memory: it jumps out of yajl, and all that yajl has ever
 * asked for is freed from a list.
 */

typedef union tee_json_block_u  tee_json_block_t;

union tee_json_block_u {
    struct {
        tee_json_block_t  *next;
        tee_json_block_t  *prev;
        size_t             size;
    } s;
    uint8_t                align[32];
};


typedef struct {
    tee_json_t            *node;
    tee_json_t           **tail;
} tee_json_level_t;


typedef struct {
    tee_json_doc_t        *doc;
    tee_str_t              text;
    tee_str_t              name;
    size_t                 nodes;
    size_t                 depth;
    tee_rc_t               rc;
    unsigned               python:1;
    tee_json_level_t       levels[TEE_JSON_PYTHON_DEPTH + 1];

    tee_json_block_t       blocks;
    jmp_buf                nomem;
} tee_json_state_t;


static tee_rc_t tee_json_build(tee_str_t text, size_t max_nodes,
    unsigned python, tee_json_doc_t *doc);
static tee_rc_t tee_json_run(tee_json_state_t *s);
static tee_json_t *tee_json_add(tee_json_state_t *s, tee_json_type_t type);
static int tee_json_keep(tee_json_state_t *s, const void *p, size_t len,
    tee_str_t *out);
static int tee_json_open(tee_json_state_t *s, tee_json_type_t type);

static int tee_json_on_null(void *ctx);
static int tee_json_on_bool(void *ctx, int value);
static int tee_json_on_number(void *ctx, const char *p, size_t len);
static int tee_json_on_string(void *ctx, const unsigned char *p, size_t len);
static int tee_json_on_key(void *ctx, const unsigned char *p, size_t len);
static int tee_json_on_map(void *ctx);
static int tee_json_on_array(void *ctx);
static int tee_json_on_end(void *ctx);

static void *tee_json_malloc(void *ctx, size_t size);
static void *tee_json_realloc(void *ctx, void *p, size_t size);
static void tee_json_release(void *ctx, void *p);


static const tee_str_t  tee_json_nan = tee_string("NaN");


static const yajl_callbacks  tee_json_callbacks = {
    tee_json_on_null,
    tee_json_on_bool,
    NULL,
    NULL,
    tee_json_on_number,
    tee_json_on_string,
    tee_json_on_map,
    tee_json_on_key,
    tee_json_on_end,
    tee_json_on_array,
    tee_json_on_end
};


tee_rc_t
tee_json_parse(tee_str_t text, size_t max_nodes, const tee_alloc_t *alloc,
    tee_json_doc_t *doc)
{
    tee_rc_t  rc;

    doc->root = NULL;
    tee_arena_init(&doc->arena, alloc);

    rc = tee_json_text_check(text);

    if (rc != TEE_OK) {
        return rc;
    }

    return tee_json_build(text, max_nodes, 0, doc);
}


tee_rc_t
tee_json_parse_python(tee_str_t text, size_t max_nodes,
    const tee_alloc_t *alloc, tee_json_doc_t *doc)
{
    tee_rc_t  rc;

    doc->root = NULL;
    tee_arena_init(&doc->arena, alloc);

    rc = tee_json_text_python(text, &doc->arena, &text);

    if (rc != TEE_OK) {
        return rc;
    }

    return tee_json_build(text, max_nodes, 1, doc);
}


static tee_rc_t
tee_json_build(tee_str_t text, size_t max_nodes, unsigned python,
    tee_json_doc_t *doc)
{
    tee_rc_t           rc;
    tee_json_state_t   s;
    tee_json_block_t  *b, *next;

    const tee_alloc_t  *alloc = doc->arena.alloc;

    memset(&s, 0, sizeof(tee_json_state_t));

    s.doc = doc;
    s.text = text;
    s.nodes = max_nodes;
    s.python = python != 0;
    s.levels[0].tail = &doc->root;
    s.blocks.s.next = &s.blocks;
    s.blocks.s.prev = &s.blocks;

    rc = tee_json_run(&s);

    for (b = s.blocks.s.next; b != &s.blocks; b = next) {
        next = b->s.next;

        tee_wipe(b + 1, b->s.size);
        alloc->free(alloc->ctx, b);
    }

    if (rc == TEE_OK && (s.depth != 0 || doc->root == NULL)) {
        rc = TEE_MALFORMED;
    }

    if (rc != TEE_OK) {
        tee_json_free(doc);
    }

    return rc;
}


void
tee_json_free(tee_json_doc_t *doc)
{
    doc->root = NULL;
    tee_arena_free(&doc->arena);
}


static tee_rc_t
tee_json_run(tee_json_state_t *s)
{
    yajl_handle       h;
    yajl_status       status;
    yajl_alloc_funcs  funcs;

    funcs.malloc = tee_json_malloc;
    funcs.realloc = tee_json_realloc;
    funcs.free = tee_json_release;
    funcs.ctx = s;

    if (setjmp(s->nomem) != 0) {
        return TEE_NOMEM;
    }

    h = yajl_alloc(&tee_json_callbacks, &funcs, s);
    if (h == NULL) {
        return TEE_NOMEM;
    }

    /* what has been looked at is valid, but for half a pair */

    (void) yajl_config(h, yajl_dont_validate_strings, 1);

    status = yajl_parse(h, s->text.data, s->text.len);

    /* a string that does not end, behind a value that has, is no error of
     * yajl's; a line feed in it is */

    if (status == yajl_status_ok) {
        status = yajl_parse(h, (const unsigned char *) "\n", 1);
    }

    if (status == yajl_status_ok) {
        status = yajl_complete_parse(h);
    }

    yajl_free(h);

    if (s->rc != TEE_OK) {
        return s->rc;
    }

    return status == yajl_status_ok ? TEE_OK : TEE_MALFORMED;
}


static tee_json_t *
tee_json_add(tee_json_state_t *s, tee_json_type_t type)
{
    tee_json_t        *node;
    tee_json_level_t  *level;

    if (s->nodes == 0) {
        s->rc = TEE_LIMIT;
        return NULL;
    }

    node = tee_arena_alloc(&s->doc->arena, sizeof(tee_json_t));
    if (node == NULL) {
        s->rc = TEE_NOMEM;
        return NULL;
    }

    memset(node, 0, sizeof(tee_json_t));

    node->type = type;
    node->name = s->name;

    s->nodes--;
    s->name.len = 0;
    s->name.data = NULL;

    level = &s->levels[s->depth];
    *level->tail = node;
    level->tail = &node->next;

    return node;
}


/* yajl answers a piece of the text, or, unescaped, of its own memory. */

static int
tee_json_keep(tee_json_state_t *s, const void *p, size_t len, tee_str_t *out)
{
    uintptr_t  at, start;
    tee_str_t  in;

    in.len = len;
    in.data = p;

    at = (uintptr_t) p;
    start = (uintptr_t) s->text.data;

    if (at >= start && at - start <= s->text.len
        && len <= s->text.len - (at - start))
    {
        *out = in;
        return 1;
    }

    s->rc = tee_arena_copy(&s->doc->arena, in, out);

    return s->rc == TEE_OK;
}


static int
tee_json_open(tee_json_state_t *s, tee_json_type_t type)
{
    tee_json_t  *node;

    if (s->depth == (s->python ? TEE_JSON_PYTHON_DEPTH : TEE_JSON_MAX_DEPTH)) {
        s->rc = s->python ? TEE_UNSUPPORTED : TEE_LIMIT;
        return 0;
    }

    node = tee_json_add(s, type);
    if (node == NULL) {
        return 0;
    }

    s->depth++;
    s->levels[s->depth].node = node;
    s->levels[s->depth].tail = &node->child;

    return 1;
}


static int
tee_json_on_null(void *ctx)
{
    return tee_json_add(ctx, TEE_JSON_NULL) != NULL;
}


static int
tee_json_on_bool(void *ctx, int value)
{
    tee_json_t  *node;

    node = tee_json_add(ctx, TEE_JSON_BOOL);
    if (node == NULL) {
        return 0;
    }

    node->value = value != 0;

    return 1;
}


static int
tee_json_on_number(void *ctx, const char *p, size_t len)
{
    tee_json_t        *node;
    tee_json_state_t  *s = ctx;

    node = tee_json_add(s, TEE_JSON_NUMBER);

    if (node && s->python && tee_json_text_nan(p, len)) {
        node->text = tee_json_nan;
        return 1;
    }

    return node && tee_json_keep(ctx, p, len, &node->text);
}


static int
tee_json_on_string(void *ctx, const unsigned char *p, size_t len)
{
    tee_json_t  *node;

    node = tee_json_add(ctx, TEE_JSON_STRING);

    return node && tee_json_keep(ctx, p, len, &node->text);
}


static int
tee_json_on_key(void *ctx, const unsigned char *p, size_t len)
{
    tee_json_state_t  *s = ctx;

    return tee_json_keep(s, p, len, &s->name);
}


static int
tee_json_on_map(void *ctx)
{
    return tee_json_open(ctx, TEE_JSON_OBJECT);
}


static int
tee_json_on_array(void *ctx)
{
    return tee_json_open(ctx, TEE_JSON_ARRAY);
}


static int
tee_json_on_end(void *ctx)
{
    tee_json_state_t  *s = ctx;

    s->depth--;

    return 1;
}


static void *
tee_json_malloc(void *ctx, size_t size)
{
    tee_json_state_t   *s = ctx;
    const tee_alloc_t  *alloc = s->doc->arena.alloc;

    tee_json_block_t  *b;

    b = NULL;

    if (size < SIZE_MAX - sizeof(tee_json_block_t)) {
        b = alloc->alloc(alloc->ctx, sizeof(tee_json_block_t) + size);
    }

    if (b == NULL) {
        longjmp(s->nomem, 1);
    }

    b->s.size = size;
    b->s.prev = &s->blocks;
    b->s.next = s->blocks.s.next;
    b->s.next->s.prev = b;
    s->blocks.s.next = b;

    return b + 1;
}


static void *
tee_json_realloc(void *ctx, void *p, size_t size)
{
    void              *to;
    tee_json_block_t  *b;

    to = tee_json_malloc(ctx, size);

    if (p) {
        b = (tee_json_block_t *) p - 1;
        memcpy(to, p, b->s.size < size ? b->s.size : size);
        tee_json_release(ctx, p);
    }

    return to;
}


static void
tee_json_release(void *ctx, void *p)
{
    tee_json_state_t   *s = ctx;
    const tee_alloc_t  *alloc = s->doc->arena.alloc;

    tee_json_block_t  *b;

    if (p == NULL) {
        return;
    }

    b = (tee_json_block_t *) p - 1;
    b->s.prev->s.next = b->s.next;
    b->s.next->s.prev = b->s.prev;

    tee_wipe(b + 1, b->s.size);
    alloc->free(alloc->ctx, b);
}


tee_rc_t
tee_json_get(const tee_json_t *object, const char *name,
    const tee_json_t **value)
{
    const tee_json_t  *m;

    *value = NULL;

    if (object == NULL || object->type != TEE_JSON_OBJECT) {
        return TEE_MALFORMED;
    }

    for (m = object->child; m; m = m->next) {

        if (!tee_text_is(m->name, name)) {
            continue;
        }

        if (*value) {
            *value = NULL;
            return TEE_MALFORMED;
        }

        *value = m;
    }

    return *value ? TEE_OK : TEE_DONE;
}


tee_rc_t
tee_json_get_type(const tee_json_t *object, const char *name,
    tee_json_type_t type, const tee_json_t **value)
{
    if (tee_json_get(object, name, value) == TEE_OK
        && (*value)->type == type)
    {
        return TEE_OK;
    }

    *value = NULL;

    return TEE_MALFORMED;
}


tee_rc_t
tee_json_get_text(const tee_json_t *object, const char *name, tee_str_t *text)
{
    const tee_json_t  *v;

    text->len = 0;
    text->data = NULL;

    if (tee_json_get_type(object, name, TEE_JSON_STRING, &v) != TEE_OK) {
        return TEE_MALFORMED;
    }

    *text = v->text;

    return TEE_OK;
}


tee_rc_t
tee_json_get_uint(const tee_json_t *object, const char *name, uint64_t max,
    uint64_t *n)
{
    const tee_json_t  *v;

    *n = 0;

    if (tee_json_get_type(object, name, TEE_JSON_NUMBER, &v) != TEE_OK
        || tee_decimal(v->text, max, n) != TEE_OK)
    {
        return TEE_MALFORMED;
    }

    return TEE_OK;
}
