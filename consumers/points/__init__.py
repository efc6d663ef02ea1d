"""Index points: conversion of item state and looks to points and back, and progress stored in the index."""
