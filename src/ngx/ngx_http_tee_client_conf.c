
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_client_ctx.h>
#include <ngx_http_tee_threads.h>
#include <ngx_http_tee_verify.h>
#include <tee_text.h>


/* The directives of tee_client. */


static ngx_uint_t ngx_http_tee_client_is_list(ngx_str_t *value);
static char *ngx_http_tee_client_source(ngx_conf_t *cf,
    ngx_http_tee_client_whom_t *whom, u_char *pcr, ngx_str_t *trusted);
static char *ngx_http_tee_client_lists(ngx_conf_t *cf,
    ngx_http_tee_client_whom_t *whom, ngx_str_t *trusted);
static char *ngx_http_tee_client_parameter(ngx_conf_t *cf,
    ngx_http_tee_client_whom_t *whom, ngx_str_t *value);
static ngx_int_t ngx_http_tee_client_complex(ngx_conf_t *cf, ngx_str_t *s,
    ngx_http_complex_value_t **cv);


char *
ngx_http_tee_client(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_tee_client_loc_conf_t  *clcf = conf;

    char                        *rv;
    u_char                       pcr[32];
    ngx_str_t                   *value, s, trusted;
    ngx_uint_t                   i, has_pcr;
    ngx_http_tee_client_whom_t  *whom;

    if (clcf->whom != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        clcf->whom = NULL;
        ngx_http_tee_verify_answered_by(cf, NULL, NULL);
        return NGX_CONF_OK;
    }

    whom = ngx_pcalloc(cf->pool, sizeof(ngx_http_tee_client_whom_t));
    if (whom == NULL) {
        return NGX_CONF_ERROR;
    }

    whom->profile = NGX_CONF_UNSET_UINT;
    has_pcr = 0;
    ngx_str_null(&trusted);

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_http_tee_client_is_list(&value[i])
            && ngx_http_tee_client_is_list(&value[1]))
        {
            continue;
        }

        if (ngx_strncmp(value[i].data, "pcr=", 4) == 0 && !has_pcr) {
            s.data = value[i].data + 4;
            s.len = value[i].len - 4;

            if (ngx_http_tee_parse_id(&s, pcr) != NGX_OK) {
                return "needs a PCR hash of 64 hexadecimal digits";
            }

            has_pcr = 1;
            continue;
        }

        if (ngx_strncmp(value[i].data, "trusted=", 8) == 0
            && value[i].len > 8 && trusted.len == 0)
        {
            trusted.data = value[i].data + 8;
            trusted.len = value[i].len - 8;
            continue;
        }

        rv = ngx_http_tee_client_parameter(cf, whom, &value[i]);

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    rv = ngx_http_tee_client_source(cf, whom, has_pcr ? pcr : NULL, &trusted);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (whom->keys && (whom->id || has_pcr)) {
        return "takes \"id\" and \"pcr\" with a registry only";
    }

    if (whom->eager && whom->keys == NULL) {
        return "takes \"eager\" with \"keys=\" only";
    }

    if (whom->profile == NGX_CONF_UNSET_UINT) {
        whom->profile = whom->keys ? NGX_HTTP_TEE_RFC9458
                                   : NGX_HTTP_TEE_OPENGRADIENT;
    }

    if (whom->chunked && whom->profile != NGX_HTTP_TEE_RFC9458) {
        return "takes \"chunked\" with \"profile=rfc9458\" only";
    }

    clcf->whom = whom;

    ngx_http_tee_problem_location(cf);
    ngx_http_tee_threads_use(cf);

    ngx_http_tee_verify_answered_by(cf, ngx_http_tee_client_answerer,
                                    ngx_http_tee_client_inner);

    return ngx_http_tee_counters_add(cf) == NGX_OK ? NGX_CONF_OK
                                                   : NGX_CONF_ERROR;
}


static ngx_uint_t
ngx_http_tee_client_is_list(ngx_str_t *value)
{
    return ngx_strncmp(value->data, "keys=", 5) == 0
           || ngx_strncmp(value->data, "keys_file=", 10) == 0;
}


static char *
ngx_http_tee_client_source(ngx_conf_t *cf, ngx_http_tee_client_whom_t *whom,
    u_char *pcr, ngx_str_t *trusted)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    if (ngx_http_tee_client_is_list(&value[1])) {
        return ngx_http_tee_client_lists(cf, whom, trusted);
    }

    if (trusted->len) {
        return "takes \"trusted\" with \"keys\" only";
    }

    whom->choice = ngx_http_tee_client_choice(cf, &value[1], pcr);

    return whom->choice ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static char *
ngx_http_tee_client_lists(ngx_conf_t *cf, ngx_http_tee_client_whom_t *whom,
    ngx_str_t *trusted)
{
    char                         *rv;
    ngx_str_t                    *value, s;
    ngx_uint_t                    i, j, urls;
    ngx_array_t                   lists;
    ngx_http_tee_client_list_t   *list, **have;

    if (ngx_array_init(&lists, cf->pool, cf->args->nelts,
                       sizeof(ngx_http_tee_client_list_t *))
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;
    urls = 0;

    for (i = 1; i < cf->args->nelts; i++) {
        urls += ngx_strncmp(value[i].data, "keys=", 5) == 0;
    }

    if (trusted->len && urls == 0) {
        return "takes \"trusted\" with \"keys\" only";
    }

    for (i = 1; i < cf->args->nelts; i++) {

        if (!ngx_http_tee_client_is_list(&value[i])) {
            continue;
        }

        s.data = (u_char *) ngx_strchr(value[i].data, '=') + 1;
        s.len = value[i].data + value[i].len - s.data;

        if (value[i].data[4] == '=') {
            rv = ngx_http_tee_client_list_url(cf, &s, trusted, &list);

        } else {
            rv = ngx_http_tee_client_list_file(cf, &s, &list);
        }

        if (rv != NGX_CONF_OK) {
            return rv;
        }

        have = lists.elts;

        for (j = 0; j < lists.nelts; j++) {
            if (have[j] == list) {
                return "has the same list of keys twice";
            }
        }

        have = ngx_array_push(&lists);
        if (have == NULL) {
            return NGX_CONF_ERROR;
        }

        *have = list;
    }

    whom->keys = ngx_http_tee_client_keys(cf, &lists);

    return whom->keys ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static char *
ngx_http_tee_client_parameter(ngx_conf_t *cf,
    ngx_http_tee_client_whom_t *whom, ngx_str_t *value)
{
    ngx_str_t  s;

    if (ngx_strncmp(value->data, "profile=", 8) == 0
        && whom->profile == NGX_CONF_UNSET_UINT)
    {
        if (ngx_strcmp(value->data + 8, "opengradient") == 0) {
            whom->profile = NGX_HTTP_TEE_OPENGRADIENT;
            return NGX_CONF_OK;
        }

        if (ngx_strcmp(value->data + 8, "rfc9458") == 0) {
            whom->profile = NGX_HTTP_TEE_RFC9458;
            return NGX_CONF_OK;
        }

    } else if (ngx_strcmp(value->data, "chunked") == 0 && !whom->chunked) {
        whom->chunked = 1;
        return NGX_CONF_OK;

    } else if (ngx_strcmp(value->data, "eager") == 0 && !whom->eager) {
        whom->eager = 1;
        return NGX_CONF_OK;

    } else if (ngx_strncmp(value->data, "id=", 3) == 0 && value->len > 3
               && whom->id == NULL)
    {
        s.data = value->data + 3;
        s.len = value->len - 3;

        return ngx_http_tee_client_complex(cf, &s, &whom->id) == NGX_OK
               ? NGX_CONF_OK : NGX_CONF_ERROR;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid parameter \"%V\"",
                       value);

    return NGX_CONF_ERROR;
}


static ngx_int_t
ngx_http_tee_client_complex(ngx_conf_t *cf, ngx_str_t *s,
    ngx_http_complex_value_t **cv)
{
    ngx_http_compile_complex_value_t  ccv;

    *cv = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (*cv == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = s;
    ccv.complex_value = *cv;

    return ngx_http_compile_complex_value(&ccv);
}


ngx_http_tee_client_choice_t *
ngx_http_tee_client_choice(ngx_conf_t *cf, ngx_str_t *registry, u_char *pcr)
{
    ngx_uint_t                         i;
    ngx_http_tee_registry_t           *reg;
    ngx_http_tee_client_choice_t      *choice, **choices;
    ngx_http_tee_client_main_conf_t   *cmcf;

    reg = ngx_http_tee_registry_find(cf, registry);

    if (reg == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no \"tee_registry %V\" block before this line",
                           registry);
        return NULL;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_tee_client_module);

    choices = cmcf->choices.elts;

    for (i = 0; i < cmcf->choices.nelts; i++) {
        choice = choices[i];

        if (choice->registry == reg && choice->has_pcr == (pcr != NULL)
            && (pcr == NULL || ngx_memcmp(choice->pcr, pcr, 32) == 0))
        {
            return choice;
        }
    }

    choice = ngx_pcalloc(cf->pool, sizeof(ngx_http_tee_client_choice_t));
    choices = choice ? ngx_array_push(&cmcf->choices) : NULL;

    if (choices == NULL) {
        return NULL;
    }

    choice->registry = reg;

    if (pcr) {
        choice->has_pcr = 1;
        ngx_memcpy(choice->pcr, pcr, 32);
    }

    *choices = choice;

    return choice;
}


/* scheme://authority, for requests that name one */

char *
ngx_http_tee_client_target(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_tee_client_loc_conf_t  *clcf = conf;

    u_char      ch;
    size_t      i;
    ngx_str_t  *value, s;

    if (clcf->authority.data) {
        return "is duplicate";
    }

    value = cf->args->elts;
    s = value[1];

    if (s.len > 8 && ngx_strncmp(s.data, "https://", 8) == 0) {
        ngx_str_set(&clcf->scheme, "https");

    } else if (s.len > 7 && ngx_strncmp(s.data, "http://", 7) == 0) {
        ngx_str_set(&clcf->scheme, "http");

    } else {
        return "needs \"https://host[:port]\"";
    }

    s.data += clcf->scheme.len + 3;
    s.len -= clcf->scheme.len + 3;

    for (i = 0; i < s.len; i++) {
        ch = s.data[i];

        if (!((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z')
              || (ch >= '0' && ch <= '9') || ch == '-' || ch == '.'
              || ch == '_' || ch == ':' || ch == '[' || ch == ']'))
        {
            return "needs \"https://host[:port]\" without a path";
        }
    }

    clcf->authority = s;

    return NGX_CONF_OK;
}


char *
ngx_http_tee_client_pass_header(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_tee_client_loc_conf_t  *clcf = conf;

    ngx_str_t   *value, *name;
    ngx_uint_t   i, j;
    tee_str_t    s;

    static ngx_str_t  ours[] = {
        ngx_string("host"),
        ngx_string("content-length"),
        ngx_string("date"),
        ngx_string("expect"),
        ngx_null_string
    };

    if (clcf->pass == NGX_CONF_UNSET_PTR) {
        clcf->pass = ngx_array_create(cf->pool, 4, sizeof(ngx_str_t));
        if (clcf->pass == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {
        s = ngx_http_tee_str(&value[i]);

        for (j = 0; ours[j].len; j++) {
            if (ours[j].len == s.len
                && ngx_strncasecmp(ours[j].data, value[i].data, s.len) == 0)
            {
                break;
            }
        }

        if (ours[j].len || !tee_token_valid(s) || tee_bhttp_hop_by_hop(s)) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "field \"%V\" cannot be passed", &value[i]);
            return NGX_CONF_ERROR;
        }

        name = ngx_array_push(clcf->pass);
        if (name == NULL) {
            return NGX_CONF_ERROR;
        }

        *name = value[i];
    }

    return NGX_CONF_OK;
}
