/* Kinds that are questions: TokenReview, SelfSubjectReview, SubjectAccessReview and its like. */
#pragma once

#include "apiserver/filters/authn.h"
#include "apiserver/filters/authz.h"
#include "apiserver/handlers/api.h"

typedef struct Reviews {
    Authenticator *authenticator;
    Authorizer *authorizer;
} Reviews;
/* ApiCoreConfig.review_check and .review; userdata is a Reviews. */
int reviews_check(void *userdata, const ApiRequest *request, Value *object, ApiError *err);
void reviews_answer(void *userdata, const ApiRequest *request, Value *object);
