"""One image, two networks: which set is it in?"""
