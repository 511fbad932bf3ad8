
/*
 * Copyright (C) The ngx_http_tee authors
 */


/* Binary HTTP. */


#include <tee.h>

#include "driver.h"


const driver_op_t  driver_bhttp_ops[] = {
    { NULL, NULL }
};
