
/*
 * Copyright (C) The ngx_http_tee authors
 */


/* Sealing and opening. */


#include <tee.h>

#include "driver.h"


const driver_op_t  driver_ohttp_ops[] = {
    { NULL, NULL }
};
