
/*
 * Copyright (C) The ngx_http_tee authors
 */


/* Keeps modules mapped at exit, so that the stacks of leaks have names. */

int
dlclose(void *handle)
{
    (void) handle;

    return 0;
}
