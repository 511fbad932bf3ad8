
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>


/* Directives that are blocks, with directives of their own. */


typedef struct {
    ngx_command_t  *directives;
    void           *conf;
    ngx_str_t       name;                      /* of the block's directive */
} ngx_http_tee_block_t;


static char *ngx_http_tee_block_directive(ngx_conf_t *cf,
    ngx_command_t *dummy, void *conf);


char *
ngx_http_tee_block(ngx_conf_t *cf, ngx_command_t *directives, void *conf)
{
    char                  *rv;
    ngx_str_t             *value;
    ngx_conf_t             save;
    ngx_http_tee_block_t   block;

    value = cf->args->elts;

    block.directives = directives;
    block.conf = conf;
    block.name = value[0];

    save = *cf;
    cf->handler = ngx_http_tee_block_directive;
    cf->handler_conf = (void *) &block;

    rv = ngx_conf_parse(cf, NULL);

    *cf = save;

    return rv;
}


static char *
ngx_http_tee_block_directive(ngx_conf_t *cf, ngx_command_t *dummy, void *conf)
{
    ngx_http_tee_block_t  *block = cf->handler_conf;

    char           *rv;
    ngx_str_t      *value;
    ngx_uint_t      n;
    ngx_command_t  *cmd;

    static const ngx_uint_t  args[] = {
        NGX_CONF_NOARGS, NGX_CONF_TAKE1, NGX_CONF_TAKE2, NGX_CONF_TAKE3
    };

    value = cf->args->elts;
    n = cf->args->nelts - 1;

    for (cmd = block->directives; cmd->name.len; cmd++) {

        if (cmd->name.len != value[0].len
            || ngx_strncmp(cmd->name.data, value[0].data, value[0].len) != 0)
        {
            continue;
        }

        if (!((cmd->type & NGX_CONF_1MORE) && n > 0)
            && (n >= sizeof(args) / sizeof(args[0])
                || !(cmd->type & args[n])))
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid number of arguments in \"%V\" "
                               "directive", &value[0]);
            return NGX_CONF_ERROR;
        }

        rv = cmd->set(cf, cmd, block->conf);

        if (rv != NGX_CONF_OK && rv != NGX_CONF_ERROR) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" directive %s",
                               &value[0], rv);
            return NGX_CONF_ERROR;
        }

        return rv;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "unknown directive \"%V\" in \"%V\"",
                       &value[0], &block->name);

    return NGX_CONF_ERROR;
}
